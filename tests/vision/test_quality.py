"""Bad frames are told from good ones, whatever the camera's resolution."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from data_sets import bad_frames, optics

from lorgnette.device.frame import Frame
from lorgnette.device.picture import load_picture
from lorgnette.vision.quality import ADVICE, assess, measure

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
# The clock was photographed with a moving camera, which is what it is an example of.
SHARP = [path for path in sorted(PHOTOS.glob("*.jpg")) if path.stem != "clock"]
WIDTHS = (224, 320, 480, 640, 960, 1280)


def resized(pixels: optics.Pixels, width: int) -> optics.Pixels:
    size = (width, round(width * pixels.shape[0] / pixels.shape[1]))
    smaller = width < pixels.shape[1]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("path", SHARP, ids=lambda path: path.stem)
def test_a_good_photograph_is_good_at_any_size(path: Path) -> None:
    pixels = load_picture(path).pixels
    for width in WIDTHS:
        assert assess(Frame(resized(pixels, width))).problem is None, width
    narrow = np.ascontiguousarray(resized(pixels, 720).transpose(1, 0, 2))
    assert assess(Frame(narrow)).problem is None


def test_a_shaken_photograph_is_blurred_at_any_size() -> None:
    pixels = load_picture(PHOTOS / "clock.jpg").pixels
    assert {assess(Frame(resized(pixels, width))).problem for width in WIDTHS} == {"blurred"}


@pytest.mark.parametrize("kind", bad_frames.MAKERS)
def test_bad_frames_get_advice(kind: str) -> None:
    """Of each photograph four: at least 9 in 10 get some advice, and most that for their own problem."""
    verdicts = []
    for index, path in enumerate(SHARP):
        photo = load_picture(path).pixels
        for seed in range(4):
            bad = bad_frames.MAKERS[kind](photo, np.random.default_rng([index, seed]))
            verdicts.append(assess(Frame(bad)).problem)
    assert sum(verdict is not None for verdict in verdicts) >= 0.9 * len(verdicts)
    assert verdicts.count(kind) >= 0.75 * len(verdicts)


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90, 135])
def test_motion_is_found_in_any_direction(angle: float) -> None:
    light = optics.to_light(load_picture(PHOTOS / "coffee.jpg").pixels)
    path = np.zeros((61, 61))
    tip = np.rint(30 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])).astype(int)
    cv2.line(path, tuple(int(v) for v in 30 - tip), tuple(int(v) for v in 30 + tip), 1.0)
    smeared = cv2.filter2D(light, -1, path / path.sum())
    assert assess(Frame(optics.develop(smeared, np.random.default_rng(0)))).problem == "blurred"


def test_a_sharp_thing_before_a_smooth_background_is_good() -> None:
    sky = np.full((480, 640, 3), (120, 160, 220), np.uint8)
    sky[140:340, 220:420] = resized(load_picture(PHOTOS / "rocket.jpg").pixels, 300)[:200, :200]
    assert assess(Frame(sky)).problem is None


def test_a_lit_window_at_night_is_not_dark() -> None:
    light = optics.to_light(resized(load_picture(PHOTOS / "coffee.jpg").pixels, 640))
    night = light * 2.0**-7
    night[100:200, 250:350] = light[100:200, 250:350]
    assert assess(Frame(optics.develop(night, np.random.default_rng(0)))).problem is None
    assert assess(Frame(optics.develop(light * 2.0**-7, np.random.default_rng(0)))).problem == "dark"


def test_a_page_of_text_is_good() -> None:
    page = np.full((720, 1280, 3), 245, np.uint8)
    for line in range(12):
        baseline = (120, 80 + 52 * line)
        cv2.putText(page, "The quick brown fox jumps", baseline, cv2.FONT_HERSHEY_SIMPLEX, 1.4, (20, 20, 20), 2)
    assert assess(Frame(page)).problem is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (16, 16), (3, 500)])
@pytest.mark.parametrize(("grey", "problem"), [(0, "covered"), (255, "blank")])
def test_frames_of_odd_sizes(shape: tuple[int, int], grey: int, problem: str) -> None:
    assert assess(Frame(np.full((*shape, 3), grey, np.uint8))).problem == problem


def test_what_does_not_change_the_picture_does_not_change_the_verdict() -> None:
    pixels = load_picture(PHOTOS / "astronaut.jpg").pixels
    straight, mirrored = measure(Frame(pixels)), measure(Frame(np.ascontiguousarray(pixels[:, ::-1])))
    assert mirrored.sharpness == pytest.approx(straight.sharpness, rel=0.02)
    assert mirrored.structure == pytest.approx(straight.structure, abs=0.02)


def test_every_problem_has_one_short_piece_of_advice() -> None:
    assert set(ADVICE) == set(bad_frames.MAKERS)
    assert all(len(advice) < 90 and advice.endswith(".") for advice in ADVICE.values())
    assert assess(load_picture(PHOTOS / "cat.jpg")).advice == ""
