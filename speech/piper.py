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

from lorgnette.device.sound import AudioChunk
from lorgnette.speech.sentences import split_sentences
from lorgnette.speech.spoken_form import spoken_form
from lorgnette.speech.vits import Samples, VitsVoice
from lorgnette.speech.whisper import SpeechModelError

_FULL_VOICE = 0.9
_LOUD_SENTENCE = "A man and a woman are walking a dog along the road."
"""Spoken once when a voice is opened: one gain for all that it says, since what is heard before the rest is computed
cannot wait for the rest's loudest sample."""
_AUDIBLE = 0.003
_LEAD_S = 0.005


class PiperSynthesizer:
    """The Piper voice in the folder `voice_dir`, which holds one NAME.onnx and its NAME.onnx.json.

    `speed` 1.25 speaks a quarter faster.
    """

    def __init__(self, voice_dir: Path, threads: int = 0, speed: float = 1.0) -> None:
        models = sorted(voice_dir.glob("*.onnx")) if voice_dir.is_dir() else []
        if len(models) != 1 or not models[0].with_suffix(".onnx.json").is_file():
            raise SpeechModelError(
                f"{voice_dir} is not a voice: it must hold one .onnx and its .onnx.json", "lorgnette models pull"
            )
        self._voice = VitsVoice(models[0], threads)
        self._letters = _letters(models[0])
        self._speed = speed
        self._language = str(self._letters.config.espeak_voice).partition("-")[0]
        self._gain = _FULL_VOICE / self._peak(_LOUD_SENTENCE)

    @property
    def rate_hz(self) -> int:
        return int(self._letters.config.sample_rate)

    def synthesize(self, text: str) -> Iterator[AudioChunk]:
        """As Synthesizer.synthesize; each chunk is float32 at the voice's rate (22,050 Hz for medium voices). A clause
        comes in several chunks, the first one a quarter of a second long. It begins with its first sound: the 50 ms of
        silence that the voice has there would only be waited for."""
        is_silent = True
        for sentence in split_sentences(spoken_form(text, self._language)):
            for samples in self._spoken(sentence):
                if is_silent:
                    samples = self._without_lead(samples)
                    is_silent = len(samples) == 0
                if not is_silent:
                    yield AudioChunk(np.clip(samples * self._gain, -1.0, 1.0), self.rate_hz)

    def _without_lead(self, samples: Samples) -> Samples:
        audible = np.flatnonzero(np.abs(samples) > _AUDIBLE)
        return samples[max(0, audible[0] - round(_LEAD_S * self.rate_hz)) :] if len(audible) else samples[:0]

    def _spoken(self, sentence: str) -> Iterator[Samples]:
        config = self._letters.config
        length = config.length_scale / self._speed
        for phonemes in self._letters.phonemize(sentence):
            if phonemes:
                ids = self._letters.phonemes_to_ids(phonemes)
                yield from self._voice.synthesize(ids, config.noise_scale, length, config.noise_w_scale)

    def _peak(self, sentence: str) -> np.float32:
        return np.float32(max((np.abs(samples).max() for samples in self._spoken(sentence)), default=_FULL_VOICE))


def _letters(model: Path) -> Any:
    """Piper's way from letters to phonemes, which wants no session."""
    from piper import PiperVoice
    from piper.config import PiperConfig

    try:
        config = PiperConfig.from_dict(json.loads(model.with_suffix(".onnx.json").read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise SpeechModelError(f"the voice's {model.name}.json is broken", "lorgnette models verify") from error
    return PiperVoice(session=None, config=config)
