"""The seam from text to sound, and a synthesizer that is silent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from lorgnette.device.sound import AudioChunk
from lorgnette.speech.sentences import split_sentences
from lorgnette.speech.spoken_form import spoken_form


class Synthesizer(Protocol):
    """Something that speaks."""

    @property
    def rate_hz(self) -> int:
        """The rate of every chunk."""
        ...

    def synthesize(self, text: str) -> Iterator[AudioChunk]:
        """The sound of `text`, a chunk for each sentence as soon as it is computed; none where there is nothing to
        pronounce. The text is as it is read; what is said is its `spoken_form`."""
        ...


class SilentSynthesizer:
    """Says everything as silence of about the length that speech would have: for demos and tests without a voice."""

    _S_PER_CHARACTER = 0.06

    def __init__(self, rate_hz: int = 22_050) -> None:
        self._rate_hz = rate_hz

    @property
    def rate_hz(self) -> int:
        return self._rate_hz

    def synthesize(self, text: str) -> Iterator[AudioChunk]:
        for sentence in split_sentences(spoken_form(text)):
            if spoken := sentence.strip():
                samples = int(len(spoken) * self._S_PER_CHARACTER * self._rate_hz)
                yield AudioChunk(np.zeros(samples, np.float32), self._rate_hz)
