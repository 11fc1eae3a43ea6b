"""Piper voices (VITS on ONNX Runtime).

The package `piper-tts`, which turns letters into phonemes with espeak-ng, is GPL-3. It is used from this file only and
loaded only when a voice speaks: any other Synthesizer can take its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lorgnette.device.session import OnnxSession
from lorgnette.device.sound import AudioChunk
from lorgnette.speech.sentences import split_sentences
from lorgnette.speech.spoken_form import spoken_form
from lorgnette.speech.whisper import SpeechModelError


class PiperSynthesizer:
    """The Piper voice in the folder `voice_dir`, which holds one NAME.onnx and its NAME.onnx.json.

    It computes on the process's shared threads. `speed` 1.25 speaks a quarter faster.
    """

    def __init__(self, voice_dir: Path, threads: int = 0, speed: float = 1.0) -> None:
        models = sorted(voice_dir.glob("*.onnx")) if voice_dir.is_dir() else []
        if len(models) != 1 or not models[0].with_suffix(".onnx.json").is_file():
            raise SpeechModelError(
                f"{voice_dir} is not a voice: it must hold one .onnx and its .onnx.json", "lorgnette models pull"
            )
        self._voice = _load(models[0], threads)
        self._speed = speed
        self._language = str(self._voice.config.espeak_voice).partition("-")[0]

    @property
    def rate_hz(self) -> int:
        return int(self._voice.config.sample_rate)

    def synthesize(self, text: str) -> Iterator[AudioChunk]:
        """As Synthesizer.synthesize; each chunk is float32 at the voice's rate (22,050 Hz for medium voices)."""
        from piper.config import SynthesisConfig

        settings = SynthesisConfig(length_scale=self._voice.config.length_scale / self._speed)
        for sentence in split_sentences(spoken_form(text, self._language)):
            for piece in self._voice.synthesize(sentence, settings):
                yield AudioChunk(np.asarray(piece.audio_float_array, np.float32), self.rate_hz)


def _load(model: Path, threads: int) -> Any:
    from piper import PiperVoice
    from piper.config import PiperConfig

    # PiperVoice.load opens a session with its own spinning threads; the voice takes any session, so it gets ours.
    session = OnnxSession(model, threads).raw
    try:
        config = PiperConfig.from_dict(json.loads(model.with_suffix(".onnx.json").read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise SpeechModelError(f"the voice's {model.name}.json is broken", "lorgnette models verify") from error
    return PiperVoice(session=session, config=config)
