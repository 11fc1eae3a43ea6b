"""Scaling by products of matrices, held against Pillow's own."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from lorgnette.vision.resample import RESAMPLING, Pixels, resample

SIZES = [
    ((480, 640), (1536, 2048)),
    ((1536, 2048), (512, 512)),
    ((97, 61), (35, 200)),
    ((61, 97), (200, 35)),
    ((3, 2), (64, 48)),
]


def pillows(pixels: Pixels, height: int, width: int, name: str) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling[name.upper()]))


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def overexposed(height: int, width: int) -> Pixels:
    """Edges between black and white, at which filters overshoot."""
    return np.where(cv2.GaussianBlur(noise(height, width), (0, 0), 2) > 127, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("draw", [noise, overexposed])
@pytest.mark.parametrize(("old", "new"), SIZES)
@pytest.mark.parametrize("name", RESAMPLING)
def test_values_are_pillows(
    name: str, old: tuple[int, int], new: tuple[int, int], draw: Callable[[int, int], Pixels]
) -> None:
    pixels = draw(*old)
    assert np.array_equal(resample(pixels, *new, name), pillows(pixels, *new, name))


@pytest.mark.parametrize("name", RESAMPLING)
def test_values_are_pillows_at_any_size(name: str) -> None:
    sizes = np.random.default_rng(0).integers(1, 200, (40, 4))
    for rows, columns, height, width in sizes.tolist():
        pixels = noise(rows, columns)
        assert np.array_equal(resample(pixels, height, width, name), pillows(pixels, height, width, name)), (
            f"{rows} x {columns} to {height} x {width}"
        )


@pytest.mark.parametrize("name", RESAMPLING)
def test_one_side_alone_is_scaled(name: str) -> None:
    pixels = noise(50, 40)
    for size in ((50, 90), (20, 40), (50, 39)):
        assert np.array_equal(resample(pixels, *size, name), pillows(pixels, *size, name))
    assert np.array_equal(resample(pixels, 50, 40, name), pixels)


def test_one_colour_stays_that_colour() -> None:
    for colour in (0, 1, 128, 255):
        pixels = np.full((33, 47, 3), colour, np.uint8)
        for name in RESAMPLING:
            assert (resample(pixels, 100, 21, name) == colour).all()


def test_pixels_that_do_not_lie_together_are_read_as_they_are() -> None:
    pixels = noise(60, 80)[::2, ::-1]
    assert np.array_equal(resample(pixels, 64, 64, "lanczos"), resample(pixels.copy(), 64, 64, "lanczos"))
