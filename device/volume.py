"""Changing the loudness of a stream of sound without a click."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_RAMP_S = 0.01
"""The whole way from silence to full volume takes this long."""


class VolumeRamp:
    """Brings piece after piece to the wanted volume, from wherever the last piece ended."""

    def __init__(self, rate_hz: int) -> None:
        self._step = 1.0 / (_RAMP_S * rate_hz)
        self._reached: float | None = None

    def apply(self, samples: npt.NDArray[np.float32], volume: float) -> npt.NDArray[np.float32]:
        """`samples`, float32 of shape (n,), at `volume` (0 to 1). The first piece has it from its beginning."""
        start = volume if self._reached is None else self._reached
        if start == volume or len(samples) == 0:
            self._reached = start if len(samples) == 0 else volume
            return samples * np.float32(volume)
        steps = np.arange(1, len(samples) + 1, dtype=np.float32) * self._step
        gain = start + np.sign(volume - start) * np.minimum(steps, abs(volume - start))
        self._reached = float(gain[-1])
        return np.asarray(samples * gain, np.float32)
