"""Scaling with Pillow's filters, which models are trained with, as products of matrices: the same values, sooner.

Each row of the result is a weighted sum of a few rows, so some rows together are a small matrix times the rows that
they need. Rows and columns are done in Pillow's order and rounded to 8 bits in between, as it does: where a filter
overshoots, that shows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float64]

_ROWS = 16  # that are made by one product: more have less in common, and more zeros between their weights
# Pillow's weights are multiples of this, and so are its sums, which float64 holds exactly.
_UNIT = 2.0**-22
# OpenCV rounds halves to even numbers and Pillow rounds them up: with this added, they are no halves. (A "scalar".)
_NUDGE = np.array([_UNIT / 2, 0, 0, 0])


def resample(pixels: Pixels, height: int, width: int, name: str) -> Pixels:
    """`pixels` [rows, columns, 3] scaled to [`height`, `width`, 3] by the filter `name`, one of RESAMPLING.

    Shrinking widens the filter, so that everything is smoothed that is left out.
    """
    rows, columns = pixels.shape[:2]
    if rows > height and rows - height > 2 * (columns - width):  # Pillow's rule from 13.0 on
        return _columns(_rows(pixels, height, name), width, name)
    return _rows(_columns(pixels, width, name), height, name)


def _columns(pixels: Pixels, count: int, name: str) -> Pixels:
    """`pixels` [rows, columns, 3] scaled to [rows, `count`, 3]."""
    if pixels.shape[1] == count:
        return pixels
    return np.asarray(cv2.transpose(_rows(np.asarray(cv2.transpose(pixels), np.uint8), count, name)), np.uint8)


def _rows(pixels: Pixels, count: int, name: str) -> Pixels:
    """`pixels` [rows, ...] scaled to [`count`, ...]."""
    if len(pixels) == count:
        return pixels
    flat = pixels.reshape(len(pixels), -1)
    scaled = np.empty((count, flat.shape[1]), np.uint8)
    for start, first, weights in _bands(len(pixels), count, name):
        rows, taps = weights.shape
        sums = weights @ flat[first : first + taps].astype(np.float64)
        scaled[start : start + rows] = cv2.add(sums, _NUDGE, dtype=cv2.CV_8U)
    return scaled.reshape(count, *pixels.shape[1:])


@lru_cache(maxsize=64)
def _bands(old: int, new: int, name: str) -> list[tuple[int, int, _Floats]]:
    """How `old` rows become `new`: the first row that is made, the first that it takes, and weights [made, taken]."""
    shape, support = RESAMPLING[name]
    scale = old / new
    stretch = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    lowest = np.maximum(centres - support * stretch + 0.5, 0).astype(np.int64)
    highest = np.minimum(centres + support * stretch + 0.5, old).astype(np.int64)
    bands = []
    for start in range(0, new, _ROWS):
        made = slice(start, start + _ROWS)
        low, high = lowest[made, None], highest[made, None]
        taken = np.arange(low[0, 0], high[-1, 0])
        weights = shape((taken + 0.5 - centres[made, None]) / stretch) * ((low <= taken) & (taken < high))
        weights /= weights.sum(axis=1, keepdims=True)
        bands.append((start, int(taken[0]), np.rint(weights / _UNIT) * _UNIT))
    return bands


def _lanczos(x: _Floats) -> _Floats:
    """sinc(x) sinc(x / 3) (Duchon, 1979)."""
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _bicubic(x: _Floats) -> _Floats:
    """Keys, 1981, with a = -1/2."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _bilinear(x: _Floats) -> _Floats:
    return np.asarray(np.maximum(0.0, 1 - np.abs(x)))


RESAMPLING: dict[str, tuple[Callable[[_Floats], _Floats], float]] = {
    "lanczos": (_lanczos, 3.0),
    "bicubic": (_bicubic, 2.0),
    "bilinear": (_bilinear, 1.0),
}
"""Filters by name: the weight at a distance, and the distance from which it is 0."""
