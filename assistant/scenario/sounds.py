"""Sounds that nobody speaks: noise in the room, and a cough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from lorgnette.assistant.scenario.wearer import WEARER_RMS
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ, load_sound

NOISES = ("pink", "hum")
_LOOP_S = 10.0
_LIMIT_S = 600.0


def noise(kind: str, snr_db: float) -> AudioChunk:
    """Seconds of noise to be looped, `snr_db` under a voice at level 1. `kind` is one of NOISES or a recording."""
    samples = {"pink": _pink, "hum": _hum}[kind]() if kind in NOISES else load_sound(Path(kind), _LIMIT_S).samples
    level = WEARER_RMS / 10 ** (snr_db / 20) / max(1e-6, float(np.sqrt(np.mean(samples**2))))
    return AudioChunk(np.clip(samples * np.float32(level), -1, 1, dtype=np.float32), SPEECH_RATE_HZ)


def cough(duration_s: float = 0.35) -> AudioChunk:
    """A burst of noise between 300 and 3000 Hz that dies away, as loud as a voice at level 1."""
    count = round(duration_s * SPEECH_RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / SPEECH_RATE_HZ)
    spectrum[(frequencies < 300) | (frequencies > 3000)] = 0
    burst = np.fft.irfft(spectrum, count) * np.exp(-6 * np.arange(count) / count)
    return AudioChunk((burst * WEARER_RMS / np.sqrt(np.mean(burst**2))).astype(np.float32), SPEECH_RATE_HZ)


def _pink() -> npt.NDArray[np.float32]:
    """Noise with equal power in every octave from 20 Hz up; its end goes on with its beginning."""
    count = round(_LOOP_S * SPEECH_RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / SPEECH_RATE_HZ)
    shaped = np.where(frequencies < 20, 0, spectrum / np.sqrt(np.maximum(frequencies, 20)))
    return np.fft.irfft(shaped, count).astype(np.float32)


def _hum() -> npt.NDArray[np.float32]:
    """Mains and the fans that hang on it: 50 Hz and its multiples, and a little pink noise."""
    time_s = np.arange(round(_LOOP_S * SPEECH_RATE_HZ)) / SPEECH_RATE_HZ
    tones = sum(np.sin(2 * np.pi * 50 * n * time_s) / n for n in (1, 2, 3, 4, 6, 8))
    pink = _pink()
    return np.asarray(tones, np.float32) + pink * np.float32(0.3 / np.sqrt(np.mean(pink**2)))
