"""Telling a pause from the end: has the speaker finished?"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lorgnette.device.resample import resample
from lorgnette.device.session import OnnxSession
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ

_WINDOW_SAMPLES = 8 * SPEECH_RATE_HZ
_FFT_SAMPLES = 400
_HOP_SAMPLES = 160
_BANDS = 80
_LINEAR_BELOW_HZ = 1000.0
_HZ_A_MEL = 200.0 / 3.0
_LOG_STEP = np.log(6.4) / 27.0
"""Slaney's mel scale: linear below 1 kHz, then a factor of 6.4 every 27 mels."""


class EndOfTurnModel(Protocol):
    """Something that hears whether a speaker has finished."""

    def probability(self, sound: AudioChunk) -> float:
        """How likely the speaker of `sound` (mono, 16 kHz, up to and into the pause) has finished, 0 to 1."""
        ...


class SmartTurn:
    """Smart Turn v3.2: Whisper's ear with one answer, from how something is said more than from what is said.

    Ask early in a pause (after 0.1 to 0.2 s): it takes longer silence itself for a sign of the end.
    """

    def __init__(self, model_file: Path, threads: int = 0) -> None:
        self._session = OnnxSession(model_file, threads)

    def probability(self, sound: AudioChunk) -> float:
        """As EndOfTurnModel.probability, from the last 8 s; the cost is the same for every length."""
        samples = resample(sound.samples, sound.rate_hz, SPEECH_RATE_HZ)[-_WINDOW_SAMPLES:]
        outputs = self._session.run({"input_features": log_mel(samples)[None]})
        return float(outputs["logits"].reshape(-1)[0])  # the graph ends in a sigmoid, whatever the name says


def log_mel(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Whisper's features, shape (80, 800), of at most 8 s at 16 kHz with silence before them.

    The window is brought to mean 0 and variance 1 first; what is 80 dB under the loudest is cut off.
    """
    window = np.pad(samples, (_WINDOW_SAMPLES - len(samples), 0))
    window = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
    padded = np.pad(window, _FFT_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SAMPLES)[:-1:_HOP_SAMPLES]
    spectrum = np.fft.rfft(frames * np.hanning(_FFT_SAMPLES + 1)[:-1])
    mel = np.log10(np.maximum(_mel_filters() @ np.square(np.abs(spectrum)).T, 1e-10))
    features: npt.NDArray[np.float32] = ((np.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0).astype(np.float32)
    return features


@cache
def _mel_filters() -> npt.NDArray[np.float64]:
    """Triangles of shape (80, 201) from 0 to 8 kHz, each of area 1 (Slaney's Auditory Toolbox)."""
    linear = _LINEAR_BELOW_HZ / _HZ_A_MEL
    top = linear + np.log(SPEECH_RATE_HZ / 2 / _LINEAR_BELOW_HZ) / _LOG_STEP
    mels = np.linspace(0.0, top, _BANDS + 2)
    corners = np.where(mels < linear, mels * _HZ_A_MEL, _LINEAR_BELOW_HZ * np.exp(_LOG_STEP * (mels - linear)))
    bins = np.fft.rfftfreq(_FFT_SAMPLES, 1 / SPEECH_RATE_HZ)
    low, middle, high = (corners[i : i + _BANDS, None] for i in range(3))
    triangles = np.maximum(0.0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))
    filters: npt.NDArray[np.float64] = triangles * 2.0 / (high - low)
    return filters
