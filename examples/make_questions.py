"""Speaks the questions of questions.json with espeak-ng and flite, neither of which is our own voice.

Needs both commands (`apt-get install espeak-ng flite`) and the package. Run it from the repository root:

    python examples/make_questions.py

Each question's "voice" is `espeak-ng/VOICE` or `flite/VOICE`. The recordings come out at 16 kHz, mono, 16 bits, with a
third of a second of silence at both ends, as a recorder leaves it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ, load_sound
from lorgnette.device.wav import write_wav

HERE = Path(__file__).parent
MARGIN_S = 0.33


def speak(text: str, voice: str, folder: Path) -> AudioChunk:
    """`text` in the voice `espeak-ng/NAME` or `flite/NAME`, at 16 kHz."""
    engine, _, name = voice.partition("/")
    raw = folder / "raw.wav"
    commands = {
        "espeak-ng": ["espeak-ng", "-v", name, "-s", "150", "-w", str(raw), text],
        "flite": ["flite", "-voice", name, "-t", text, "-o", str(raw)],
    }
    subprocess.run(commands[engine], check=True)
    return load_sound(raw, limit_s=60)


def main() -> None:
    margin = np.zeros(round(MARGIN_S * SPEECH_RATE_HZ), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        for question in json.loads((HERE / "questions.json").read_text(encoding="utf-8")):
            sound = speak(question["text"], question["voice"], Path(folder))
            padded = AudioChunk(np.concatenate([margin, sound.samples, margin]), sound.rate_hz)
            write_wav(HERE / question["audio"], [padded])


if __name__ == "__main__":
    main()
