"""A picture as the rest of the program sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Frame:
    """One picture: `pixels` is RGB uint8 with shape (height, width, 3); `timestamp_ns` is monotonic capture time
    (0 where it does not come from a clock, as in a file)."""

    pixels: npt.NDArray[np.uint8]
    timestamp_ns: int = 0

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])
