"""Whether two frames show the same scene: cheap enough for every frame of a camera."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lorgnette.device.frame import Frame

_SIDE = 32
_CHANGED = 0.25
"""Share of the variation that must be new. Sensor noise and a change of the light stay under 0.02, a turn by 3 % of the
width under 0.12; a turn by a tenth is about 0.25, by a fifth over 0.34, another photograph over 0.6."""

_PLAIN = 0.3
"""A sketch that varies less shows a wall, or nothing; one of a scene varies by about 1."""


class SceneSketch:
    """A frame reduced to 32 x 32 grey values of mean 0 and variance 1, blurred so that a small shift does not count."""

    def __init__(self, frame: Frame) -> None:
        grey = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY)
        reduced = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        small = np.asarray(cv2.GaussianBlur(reduced.astype(np.float32), (0, 0), 1.5), np.float32)
        # One grey level squared more: a wall's noise is not to be blown up into a scene.
        self._values: npt.NDArray[np.float32] = (small - small.mean()) / np.sqrt(small.var() + 1.0)
        self._variation = float(np.sqrt(np.mean(self._values**2)))

    def difference(self, other: SceneSketch) -> float:
        """1 - correlation: 0 for the same scene however bright, about 1 for unrelated ones, at most 2."""
        variation = sorted((self._variation, other._variation))
        if variation[0] < _PLAIN:  # a wall is like any other wall, and like nothing else
            return 0.0 if variation[1] < _PLAIN else 1.0
        return 1.0 - float(np.mean(self._values * other._values)) / (self._variation * other._variation)

    def shows_another_scene(self, other: SceneSketch) -> bool:
        return self.difference(other) > _CHANGED


def sharpness(frame: Frame) -> float:
    """How much fine detail a frame has, to choose among frames of one scene: the variance of its Laplacian on a copy
    of at most 320 pixels a side."""
    scale = 320 / max(frame.width, frame.height)
    grey = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
