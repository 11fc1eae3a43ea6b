"""Whisper that encodes a sound once, and no more of it than is there; apart from the transcriber, so that this heavy
import happens late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim

Features = npt.NDArray[np.float32]

_FRAMES_PER_S = 100
_WINDOWS_S = ((6.0, 10), (13.0, 15))
"""The longest sound, and the window that it is encoded in; whatever is longer gets 30 s. The encoder's cost grows
faster than its window: 15 s take a quarter of the time that 30 s take, and 10 s a seventh. Below 8 s the model begins
to repeat itself, and in a window that is nearly full it leaves words out."""
_REPEATED_WORDS = 3


class OneEncodingModel(WhisperModel):  # type: ignore[misc]
    """Encodes short sounds in a short window, and remembers the last window that it encoded.

    Detecting the language and transcribing need the same encoding, and faster-whisper computes it for each of them.
    Where the words that come of a short window are doubtful, they are looked for again in one of 30 s, which is what
    the model was trained on. No window is shorter than `shortest_window_s` seconds.
    """

    shortest_window_s: float = 15.0
    _window: Features | None = None
    _encoding: Any = None

    def encode(self, features: Features) -> Any:
        """The encoder's output for `features`, log-mel float32 of shape (80, 3000), zeros behind the sound."""
        if self._window is None or not np.array_equal(self._window, features):
            self._encoding = super().encode(self._short_window(features))
            self._window = features
        return self._encoding

    def detect(self, samples: npt.NDArray[np.float32], whole: bool = False) -> dict[str, float]:
        """Probabilities of the languages of the first 30 s of `samples` (16 kHz), by code, the likeliest first. With
        `whole` they, and the transcription of the same samples, come of the 30 s window."""
        # Transcription leaves the last column, which is padding, out of its window: doing so too gives the same window.
        features = self.feature_extractor(samples)[..., :-1]
        if whole:
            self._encode_whole(pad_or_trim(features))
        _, _, every = self.detect_language(features=features)
        return dict(every)

    def generate_with_fallback(self, encoder_output: Any, prompt: list[int], tokenizer: Any, options: Any) -> Any:
        """As faster-whisper's: the result, its average log-probability, temperature and compression ratio."""
        if self._window is not None and self._is_short(encoder_output):
            once = replace(options, temperatures=options.temperatures[:1])
            found = super().generate_with_fallback(encoder_output, prompt, tokenizer, once)
            if not _is_doubtful(found, tokenizer, options):
                return found
            encoder_output = self._encode_whole(self._window)
        return super().generate_with_fallback(encoder_output, prompt, tokenizer, options)

    def _encode_whole(self, features: Features) -> Any:
        if self._is_short(self.encode(features)):
            self._encoding = super().encode(features)
        return self._encoding

    def _is_short(self, encoding: Any) -> bool:
        return bool(encoding.shape[1] * self.input_stride < self.feature_extractor.nb_max_frames)

    def _short_window(self, features: Features) -> Features:
        sounding = np.flatnonzero(features.any(axis=0))
        sound_s = (sounding[-1] + 1) / _FRAMES_PER_S if len(sounding) else 0.0
        for longest_s, window_s in _WINDOWS_S:
            if sound_s <= longest_s and window_s >= self.shortest_window_s:
                return features[:, : window_s * _FRAMES_PER_S]
        return features


def _is_doubtful(found: tuple[Any, float, float, float], tokenizer: Any, options: Any) -> bool:
    result, log_probability, _, compression_ratio = found
    if log_probability < options.log_prob_threshold or compression_ratio > options.compression_ratio_threshold:
        return True
    return repeats_itself(tokenizer.decode(result.sequences_ids[0]))


def repeats_itself(text: str) -> bool:
    """Whether three words or more come twice in a row: too short a loop for the compression ratio to notice."""
    words = text.lower().split()
    for length in range(_REPEATED_WORDS, len(words) // 2 + 1):
        for start in range(len(words) - 2 * length + 1):
            if words[start : start + length] == words[start + length : start + 2 * length]:
                return True
    return False
