"""How loud a recording is, to tell silence and overload from speech."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lorgnette.device.sound import AudioChunk

_FULL_SCALE = 0.999
_SILENCE_PEAK = 10 ** (-60 / 20)  # 60 dB under full scale: quieter than the noise of any real room
_CLIPPED_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class SoundLevel:
    """`peak` is the largest absolute sample, `clipped_share` the share of samples at full scale; both in [0, 1]."""

    peak: float
    clipped_share: float

    @property
    def is_silent(self) -> bool:
        return self.peak < _SILENCE_PEAK

    @property
    def is_clipped(self) -> bool:
        return self.clipped_share > _CLIPPED_SHARE


def measure_level(sound: AudioChunk) -> SoundLevel:
    """The level of `sound`; that of no samples is 0."""
    if len(sound.samples) == 0:
        return SoundLevel(0.0, 0.0)
    size = np.abs(sound.samples)
    return SoundLevel(float(size.max()), float(np.mean(size >= _FULL_SCALE)))
