"""A line of writing that has been read: what it says, how surely, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class TextLine:
    """`text` is one line, `confidence` the mean probability of its characters.

    `corners` is float32 [4, 2], x and y in pixels of the picture: where the text begins at its top, and on clockwise,
    so that the first two give the direction in which it is read.
    """

    text: str
    confidence: float
    corners: npt.NDArray[np.float32]

    @property
    def length(self) -> float:
        """From the text's beginning to its end, in pixels."""
        return float(np.linalg.norm(self.corners[1] - self.corners[0]))

    @property
    def angle(self) -> float:
        """The direction of reading in radians: 0 to the right, growing clockwise."""
        x, y = self.corners[1] - self.corners[0]
        return float(np.arctan2(y, x))

    @property
    def centre(self) -> tuple[float, float]:
        x, y = self.corners.mean(axis=0)
        return float(x), float(y)
