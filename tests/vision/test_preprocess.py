"""Pictures to pixel values, held against a plain NumPy computation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lorgnette.device.frame import Frame
from lorgnette.vision.preprocess import Preprocessor

EMBEDDED = Preprocessor(320, 320, (127.0,) * 3, (128.0,) * 3)


def area_means(pixels: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.float64]:
    """The exact mean of the area under each new pixel, partial pixels counted by their share."""

    def weights(old: int, new: int) -> npt.NDArray[np.float64]:
        edges = np.arange(new + 1) * old / new
        cells = np.arange(old)
        overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
        return np.clip(overlap, 0, None) * new / old

    rows, columns = weights(pixels.shape[0], height), weights(pixels.shape[1], width)
    return np.tensordot(columns, np.tensordot(rows, pixels.astype(np.float64), (1, 0)), (1, 1)).transpose(1, 0, 2)


def noise(height: int, width: int) -> Frame:
    return Frame(np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(640, 640), (480, 640), (960, 320), (333, 1001), (1200, 1600)])
def test_shrinking_takes_the_mean_of_each_area(size: tuple[int, int]) -> None:
    frame = noise(*size)
    assert np.abs(EMBEDDED.resize(frame)[0].astype(np.float64) - area_means(frame.pixels, 320, 320)).max() <= 1.0


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    frame = noise(320, 320)
    assert np.array_equal(EMBEDDED.resize(frame)[0], frame.pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (224, 224), (320, 1), (2, 3)])
def test_any_shape_is_squashed_without_new_values(size: tuple[int, int]) -> None:
    frame = noise(*size)
    resized = EMBEDDED.resize(frame)[0]
    assert resized.shape == (320, 320, 3)
    assert resized.dtype == np.uint8
    assert resized.min() >= frame.pixels.min()
    assert resized.max() <= frame.pixels.max()


def test_values_are_normalised_by_channel_and_laid_out_by_plane() -> None:
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[...] = (0, 127, 255)
    pixels[1, 2] = (10, 20, 30)
    values = Preprocessor(4, 2, (127.0, 127.0, 100.0), (128.0, 64.0, 1.0)).normalise(pixels[None])
    assert values.shape == (1, 3, 2, 4)
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    assert values[0, :, 0, 0] == pytest.approx([-127 / 128, 0.0, 155.0])
    assert values[0, :, 1, 2] == pytest.approx([-117 / 128, -107 / 64, -70.0])


def test_red_stays_red() -> None:
    red = Frame(np.broadcast_to(np.array([255, 0, 0], np.uint8), (50, 70, 3)).copy())
    values = EMBEDDED.normalise(EMBEDDED.resize(red))
    assert values[0].mean(axis=(1, 2)) == pytest.approx([1.0, -127 / 128, -127 / 128])
