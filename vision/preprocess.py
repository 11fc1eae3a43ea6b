"""From a picture to the numbers that the vision encoder reads."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lorgnette.device.frame import Frame


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """Squash to `width` x `height` pixels (the aspect ratio is not kept), then (x - `mean`) / `std` for R, G and B.

    `mean` and `std` are in units of 0..255.
    """

    width: int
    height: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def resize(self, frame: Frame) -> npt.NDArray[np.uint8]:
        """RGB uint8 [height, width, 3]. Each new pixel is the mean of the area it covers, and where the picture is
        smaller than the target OpenCV's area filter turns into bilinear interpolation."""
        if frame.pixels.shape[:2] == (self.height, self.width):
            return frame.pixels
        resized = cv2.resize(frame.pixels, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return np.asarray(resized, dtype=np.uint8)

    def normalise(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """RGB uint8 [height, width, 3] -> float32 [1, 3, height, width]."""
        mean, std = (np.array(values, dtype=np.float32) for values in (self.mean, self.std))
        scaled = (pixels.astype(np.float32) - mean) / std
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
