"""The same scene and another one, on the example photographs: the figures that vision/scene_change.py names."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from lorgnette.device.frame import Frame
from lorgnette.device.picture import load_picture
from lorgnette.vision.scene_change import SceneSketch, sharpness

PHOTOS = sorted((Path(__file__).parents[2] / "examples" / "photos").glob("*.jpg"))
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(params=PHOTOS, ids=lambda path: path.stem)
def photo(request: pytest.FixtureRequest) -> Pixels:
    return load_picture(request.param).pixels


def sketch(pixels: npt.NDArray[np.uint8]) -> SceneSketch:
    return SceneSketch(Frame(np.ascontiguousarray(pixels)))


def clipped(pixels: npt.NDArray[np.floating]) -> Pixels:
    return np.clip(pixels, 0, 255).astype(np.uint8)


def turned(photo: Pixels, share: float) -> tuple[SceneSketch, SceneSketch]:
    """What is seen before and after the head turned by `share` of the width."""
    shift = round(share * photo.shape[1])
    return sketch(photo[:, : photo.shape[1] - shift]), sketch(photo[:, shift:])


def test_there_are_photographs() -> None:
    assert len(PHOTOS) == 6


def test_a_scene_is_itself(photo: Pixels) -> None:
    assert sketch(photo).difference(sketch(photo)) == pytest.approx(0, abs=1e-3)


def test_noise_and_light_are_no_other_scene(photo: Pixels) -> None:
    noise = np.random.default_rng(0).normal(0, 10, photo.shape)
    for same in (clipped(photo + noise), clipped(photo * 0.5), clipped(photo * 1.2 + 20)):
        assert sketch(photo).difference(sketch(same)) < 0.02
        assert not sketch(photo).shows_another_scene(sketch(same))


def test_a_small_turn_is_no_other_scene(photo: Pixels) -> None:
    before, after = turned(photo, 0.03)
    assert before.difference(after) < 0.12
    assert not before.shows_another_scene(after)


def test_a_turn_by_a_tenth_is_between() -> None:
    differences = [before.difference(after) for before, after in (turned(load_picture(p).pixels, 0.1) for p in PHOTOS)]
    assert 0.12 < min(differences) < max(differences) < 0.7
    assert 0.2 < float(np.median(differences)) < 0.3


def test_a_turn_by_a_fifth_is_another_scene(photo: Pixels) -> None:
    before, after = turned(photo, 0.2)
    assert before.difference(after) > 0.34
    assert before.shows_another_scene(after)


def test_another_photograph_is_another_scene() -> None:
    sketches = [sketch(load_picture(path).pixels) for path in PHOTOS]
    for one, other in combinations(sketches, 2):
        assert one.difference(other) > 0.6
        assert one.shows_another_scene(other)
        assert one.difference(other) == pytest.approx(other.difference(one), abs=1e-5)


def test_a_plain_wall_is_one_scene_however_noisy() -> None:
    random = np.random.default_rng(0)
    walls = [clipped(random.normal(100, 4, (240, 320, 3))) for _ in range(3)]
    for one, other in combinations(walls, 2):
        assert not sketch(one).shows_another_scene(sketch(other))
    assert not sketch(walls[0]).shows_another_scene(sketch(np.full((240, 320, 3), 140, np.uint8)))


def test_looking_away_from_a_wall_is_another_scene() -> None:
    wall = sketch(np.full((480, 640, 3), 128, np.uint8))
    for path in PHOTOS:
        assert wall.shows_another_scene(sketch(load_picture(path).pixels)), path.stem


def test_a_blurred_frame_is_less_sharp(photo: Pixels) -> None:
    blurred = cv2.GaussianBlur(photo, (0, 0), photo.shape[1] / 150)
    assert sharpness(Frame(photo)) > 1.5 * sharpness(Frame(blurred))


def test_sharpness_hardly_depends_on_the_size_of_the_frame() -> None:
    photo = load_picture(PHOTOS[0]).pixels
    large = cv2.resize(photo, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    assert sharpness(Frame(large)) == pytest.approx(sharpness(Frame(photo)), rel=0.3)


def test_a_frame_smaller_than_the_sketch() -> None:
    tiny = Frame(np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3))
    assert SceneSketch(tiny).difference(SceneSketch(tiny)) == pytest.approx(0, abs=1e-3)
    assert sharpness(tiny) >= 0
