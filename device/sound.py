"""Sound as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A stretch of mono sound.

    `samples` is float32 in [-1, 1] with shape (n,); `rate_hz` is samples a second; `timestamp_ns` is the monotonic
    time of the first sample (0 where it does not come from a clock, as in a file).
    """

    samples: npt.NDArray[np.float32]
    rate_hz: int
    timestamp_ns: int = 0

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz


def joined(chunks: Sequence[AudioChunk], rate_hz: int) -> AudioChunk:
    """`chunks`, all at `rate_hz`, end to end; it was taken when the first of them was."""
    samples = [np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)]
    return AudioChunk(np.concatenate(samples), rate_hz, chunks[0].timestamp_ns if chunks else 0)
