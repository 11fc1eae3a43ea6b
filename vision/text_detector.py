"""Finds where writing is in a picture: the detection network of PP-OCR and what turns its map into boxes.

The network gives the probability of each pixel to lie in the shrunken middle of a line of text (Liao et al., Real-time
Scene Text Detection with Differentiable Binarization, 2020). A connected piece of it is fitted with a rectangle, which
is grown back by what the shrinking took away.

RapidOCR, whose package carries the networks, has this too; but it opens sessions past the pool that all our models
share and brings eleven packages for what OpenCV does in the lines below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lorgnette.device.frame import Frame
from lorgnette.device.session import Session

# As the network was trained and published (PaddleOCR, PP-OCRv6): the probability of a text pixel, the mean probability
# of a box, and area x ratio / perimeter as the distance by which it grows.
_PIXEL_THRESHOLD = 0.3
_BOX_THRESHOLD = 0.5
_UNCLIP_RATIO = 1.6
_SMALLEST_SIDE = 3.0  # pixels of the map; anything thinner is noise
_MOST_BOXES = 500
# Sides must be multiples of the network's deepest stride.
_STRIDE = 32
# A small picture is enlarged, since letters below some ten pixels are missed, but more only blurs them.
_MOST_ENLARGEMENT = 2.0
_LONGEST_SIDE = 4096

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextBox:
    """A line of text, or a part of one. `corners` is float32 [4, 2]: x and y in pixels of the picture, from the corner
    at the top left clockwise, of a rectangle that may be turned. `score` is the mean probability inside it."""

    corners: npt.NDArray[np.float32]
    score: float

    @property
    def width(self) -> float:
        """Length of the upper side in pixels."""
        return float(np.linalg.norm(self.corners[1] - self.corners[0]))

    @property
    def height(self) -> float:
        """Length of the left side in pixels."""
        return float(np.linalg.norm(self.corners[3] - self.corners[0]))


class TextDetector:
    """A session with one input [1, 3, height, width] and one output [1, 1, height, width] of probabilities."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._input = next(iter(session.inputs))
        self._output = next(iter(session.outputs))

    def find(self, frame: Frame, pixels: int) -> list[TextBox]:
        """The boxes of writing in `frame`, looked at with at most about `pixels` pixels, in no particular order.

        Time is proportional to `pixels`. Raises SessionError.
        """
        probabilities = self.probabilities(frame, pixels)
        mask = cv2.dilate((probabilities > _PIXEL_THRESHOLD).astype(np.uint8), np.ones((2, 2), np.uint8))
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        scale = np.array((frame.width, frame.height), np.float32) / probabilities.shape[::-1]
        boxes = (_fit(np.asarray(contour), probabilities) for contour in contours[:_MOST_BOXES])
        return [
            TextBox(_clockwise((corners * scale).astype(np.float32)), score) for corners, score in filter(None, boxes)
        ]

    def probabilities(self, frame: Frame, pixels: int) -> _Floats:
        """float32 [height, width] of a picture scaled to at most about `pixels` pixels."""
        fits = (math.sqrt(pixels / (frame.width * frame.height)), _LONGEST_SIDE / max(frame.width, frame.height))
        scale = min(*fits, _MOST_ENLARGEMENT)
        width, height = (max(round(side * scale / _STRIDE), 1) * _STRIDE for side in (frame.width, frame.height))
        filtering = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
        resized = np.asarray(cv2.resize(frame.pixels, (width, height), interpolation=filtering), np.float32)
        # Blue first, in -1..1, as the network was trained.
        image = np.ascontiguousarray(resized[None, :, :, ::-1].transpose(0, 3, 1, 2) / 127.5 - 1.0)
        return np.asarray(self._session.run({self._input: image})[self._output][0, 0], np.float32)


def _fit(contour: npt.NDArray[Any], probabilities: _Floats) -> tuple[_Floats, float] | None:
    """Corners of the grown rectangle around `contour` and its score, where it is large and sure enough."""
    centre, (width, height), angle = cv2.minAreaRect(contour)
    if min(width, height) < _SMALLEST_SIDE:
        return None
    score = _mean_inside(probabilities, _corners(centre, (width, height), angle))
    if score < _BOX_THRESHOLD:
        return None
    # Growing a rectangle by a distance with round corners, and fitting a rectangle again, is adding it on each side.
    grow = 2 * width * height * _UNCLIP_RATIO / (2 * (width + height))
    return _corners(centre, (width + grow, height + grow), angle), score


def _corners(centre: Sequence[float], size: tuple[float, float], angle: float) -> _Floats:
    return np.asarray(cv2.boxPoints((centre, size, angle)), np.float32)


def _mean_inside(probabilities: _Floats, corners: _Floats) -> float:
    limit = np.array(probabilities.shape[::-1]) - 1
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, limit)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, limit)
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(probabilities[top : bottom + 1, left : right + 1], mask)[0])


def _clockwise(corners: _Floats) -> _Floats:
    """The corners from the one at the top left: of the two on the left the upper, and so on."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = (half[np.argsort(half[:, 1], kind="stable")] for half in (by_x[:2], by_x[2:]))
    return np.array([left[0], right[0], right[1], left[1]], np.float32)
