"""Changing the rate of a stream of sound without clicks at the joints."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler


class Resampler:
    """Turns pieces of sound into mono float32 at `rate_hz`; the filter's state is carried from piece to piece."""

    def __init__(self, rate_hz: int) -> None:
        # FFmpeg's own mix to mono keeps the power and so overloads where both channels carry the same: channels are
        # kept through it and averaged here. It takes the layout and input rate from the first frame.
        self._resampler = AudioResampler(format="fltp", rate=rate_hz)

    def push(self, samples: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.float32]:
        """`samples` is mono float32 of shape (n,) at `rate_hz`, the same at every call; returns what is ready."""
        if len(samples) == 0:
            return samples
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        return self.push_frame(frame)

    def push_frame(self, frame: AudioFrame) -> npt.NDArray[np.float32]:
        """The same for a frame of PyAV, of any sample format and channels."""
        frame.pts = None  # broken files carry broken clocks
        return self._collect(frame)

    def flush(self) -> npt.NDArray[np.float32]:
        """What the filter still held. The resampler is spent afterwards."""
        return self._collect(None)

    def _collect(self, frame: AudioFrame | None) -> npt.NDArray[np.float32]:
        ready = [piece.to_ndarray().mean(axis=0, dtype=np.float32) for piece in self._resampler.resample(frame)]
        return np.concatenate(ready) if ready else np.zeros(0, np.float32)


def resample(samples: npt.NDArray[np.float32], from_hz: int, to_hz: int) -> npt.NDArray[np.float32]:
    """All of `samples` at another rate."""
    if from_hz == to_hz or len(samples) == 0:
        return samples
    resampler = Resampler(to_hz)
    return np.concatenate([resampler.push(samples, from_hz), resampler.flush()])
