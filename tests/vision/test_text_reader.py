"""Finding and reading with networks that read grey rectangles; the real ones are in assistant/test_real_reading.py."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from tiny_text_networks import draw, write_networks

from lorgnette.device.frame import Frame
from lorgnette.device.session import OnnxSession, SessionError
from lorgnette.vision.scene_text import SceneText
from lorgnette.vision.text_detector import TextDetector
from lorgnette.vision.text_reader import DETECTION, RECOGNITION, TextReader
from lorgnette.vision.text_recognizer import TextRecognizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def reader(folder: Path) -> TextReader:
    return TextReader.open(folder)


@pytest.fixture(scope="module")
def detector(folder: Path) -> TextDetector:
    return TextDetector(OnnxSession(folder / DETECTION))


def turned(frame: Frame, degrees: float) -> Frame:
    matrix = cv2.getRotationMatrix2D((frame.width / 2, frame.height / 2), -degrees, 1.0)
    return Frame(cv2.warpAffine(frame.pixels, matrix, (frame.width, frame.height), borderValue=(255,) * 3))


def test_a_box_surrounds_its_text_and_grows_as_the_paper_says(detector: TextDetector) -> None:
    frame = draw([("EXIT", 200, 200, 160, 40)])
    (box,) = detector.find(frame, 640 * 480)
    assert box.score > 0.9
    low, high = box.corners.min(axis=0), box.corners.max(axis=0)
    grown = 160 * 40 * 1.6 / (2 * (160 + 40))
    assert low == pytest.approx([200 - grown, 200 - grown], abs=3)
    assert high == pytest.approx([360 + grown, 240 + grown], abs=3)
    assert box.corners[0] == pytest.approx(low) and box.corners[2] == pytest.approx(high)
    assert (box.width, box.height) == pytest.approx(tuple(high - low))


@pytest.mark.parametrize("degrees", [-30, 10, 40])
def test_a_turned_box_is_found_turned(detector: TextDetector, degrees: float) -> None:
    (box,) = detector.find(turned(draw([("EXIT", 220, 220, 200, 40)]), degrees), 640 * 480)
    along = box.corners[1] - box.corners[0]
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(degrees, abs=2)
    assert box.width > 2 * box.height


@pytest.mark.parametrize("size", [(30, 30), (2000, 40), (40, 2000), (3000, 2000), (1, 1), (1, 60_000)])
def test_pictures_of_any_size(reader: TextReader, size: tuple[int, int]) -> None:
    frame = Frame(np.full((*size, 3), 255, np.uint8))
    assert reader.read_scene(frame) == ()
    assert reader.read_page(frame) == []
    assert not reader.has_writing(frame)


def test_fewer_pixels_find_the_same_place(detector: TextDetector) -> None:
    frame = draw([("EXIT", 400, 300, 400, 80)], 1280, 960)
    (small,), (large,) = detector.find(frame, 100_000), detector.find(frame, 1_000_000)
    assert small.corners == pytest.approx(large.corners, abs=12)


def test_a_scene_is_read_in_order_with_places(reader: TextReader) -> None:
    scene = draw([("Espresso", 30, 220, 150, 30), ("EXIT", 240, 30, 160, 40), ("2.50", 500, 221, 60, 28)])
    assert reader.read_scene(scene) == (
        SceneText("EXIT", "at the top"),
        SceneText("Espresso 2.50", "in the middle"),
    )
    assert reader.has_writing(scene)


def test_vertical_text_is_read(reader: TextReader) -> None:
    (line,) = reader.read_page(draw([("EXIT", 300, 100, 40, 200)]))
    assert line.text == "EXIT"
    assert line.length > 150
    assert abs(abs(np.degrees(line.angle)) - 90) < 2


def test_what_is_as_large_as_a_person_is_no_letter(reader: TextReader) -> None:
    figure = draw([("EXIT", 200, 50, 300, 380)])
    assert not reader.has_writing(figure)
    assert reader.read_page(figure) == []


def test_of_many_lines_the_largest_and_most_central_are_told(reader: TextReader) -> None:
    rows = [("Espresso", 40 + 330 * column, 10 + 36 * row, 120, 14) for row in range(13) for column in range(2)]
    crowd = draw([*rows, ("EXIT", 240, 490, 160, 40)], 640, 560)
    told = reader.read_scene(crowd)
    assert len(told) == 24
    assert SceneText("EXIT", "at the bottom") in told
    assert len(reader.read_page(crowd)) == 27


def test_a_network_with_other_characters_is_refused(folder: Path, tmp_path: Path) -> None:
    model = onnx.load(folder / RECOGNITION)
    onnx.helper.set_model_props(model, {"character": "one\ntwo"})
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(SessionError, match="lists 2 characters for 6 classes"):
        TextRecognizer(OnnxSession(tmp_path / "other.onnx"))


def test_a_missing_network_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="cannot open the model"):
        TextReader.open(tmp_path)


def test_lines_are_values(reader: TextReader) -> None:
    (line,) = reader.read_page(draw([("EXIT", 200, 200, 160, 40)]))
    assert line.confidence == pytest.approx(1.0, abs=0.01)
    with pytest.raises(dataclasses.FrozenInstanceError):
        line.text = "other"  # type: ignore[misc]
