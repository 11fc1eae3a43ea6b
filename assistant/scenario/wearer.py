"""A synthetic wearer, who speaks with another voice than the assistant's: espeak-ng or flite, whatever is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lorgnette.assistant.scenario.scenario import Pause
from lorgnette.device.errors import DeviceError, InputError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ, load_sound

WEARER_RMS = 0.08
"""How loud a voice is at level 1, a share of full scale: 22 dB under it, as of somebody who wears the microphone."""

_AUDIBLE = 0.003
_LIMIT_S = 60.0
_TIMEOUT_S = 30.0


def speak(parts: Iterable[str | Pause], voice: str) -> AudioChunk:
    """The parts one after the other, at 16 kHz, from the first to the last audible sample.

    `voice` is espeak-ng/NAME or flite/NAME. Raises DeviceError where that program is not installed, InputError for a
    voice that it does not have.
    """
    pieces = [
        np.zeros(round(part.duration_s * SPEECH_RATE_HZ), np.float32)
        if isinstance(part, Pause)
        else _spoken(part, voice)
        for part in parts
    ]
    return AudioChunk(np.concatenate(pieces), SPEECH_RATE_HZ)


def recorded(path: Path) -> AudioChunk:
    """A recording as loud as a voice at level 1, without the silence around it."""
    return AudioChunk(_level(load_sound(path, _LIMIT_S).samples), SPEECH_RATE_HZ)


def is_installed(voice: str) -> bool:
    """Whether the program that has this voice is there."""
    return shutil.which(voice.partition("/")[0]) is not None


@lru_cache(maxsize=256)
def _spoken(text: str, voice: str) -> npt.NDArray[np.float32]:
    program, _, name = voice.partition("/")
    with tempfile.TemporaryDirectory() as folder:
        words, sound = Path(folder) / "words.txt", Path(folder) / "sound.wav"
        words.write_text(text, "utf-8")
        commands = {
            "espeak-ng": ["espeak-ng", "-v", name, "-s", "150", "-w", str(sound), "-f", str(words)],
            "flite": ["flite", "-voice", name, "-f", str(words), "-o", str(sound)],
        }
        if program not in commands or not name:
            raise InputError(f"no voice is called {voice!r}", "as espeak-ng/en-us or flite/slt")
        try:
            subprocess.run(commands[program], check=True, capture_output=True, timeout=_TIMEOUT_S)
        except FileNotFoundError as error:
            raise DeviceError(f"{program} is not installed", f"apt-get install {program}") from error
        except (OSError, subprocess.SubprocessError) as error:
            raise InputError(f"{program} cannot speak as {name!r}", f"see {program}'s list of voices") from error
        return _level(load_sound(sound, _LIMIT_S).samples)


def _level(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    audible = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if len(audible) == 0:
        raise InputError("there is no sound in that", "write words, or give another recording")
    kept = samples[audible[0] : audible[-1] + 1]
    return kept * np.float32(WEARER_RMS / np.sqrt(np.mean(kept**2)))
