"""Whisper that encodes a sound once; apart from the transcriber, so that this heavy import happens late."""

from __future__ import annotations

from typing import Any

import numpy as np
from faster_whisper import WhisperModel


class OneEncodingModel(WhisperModel):  # type: ignore[misc]
    """Remembers the last window that it encoded.

    Detecting the language and transcribing need the same encoding, and faster-whisper computes it for each of them;
    it is two thirds of the cost of a short question.
    """

    _window: np.ndarray[Any, np.dtype[np.float32]] | None = None
    _encoding: Any = None

    def encode(self, features: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
        """The encoder's output for `features`, log-mel float32 of shape (80, 3000)."""
        if self._window is None or not np.array_equal(self._window, features):
            self._encoding = super().encode(features)
            self._window = features
        return self._encoding

    def detect(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, float]:
        """Probabilities of the languages of the first 30 s of `samples` (16 kHz), by code, the likeliest first."""
        # Transcription leaves the last column, which is padding, out of its window: doing so too gives the same window.
        features = self.feature_extractor(samples)[..., :-1]
        _, _, every = self.detect_language(features=features)
        return dict(every)
