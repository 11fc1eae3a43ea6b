"""Reads what is written in a picture: finds the lines, reads each, and puts them into the order of reading."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from lorgnette.device.frame import Frame
from lorgnette.device.session import OnnxSession
from lorgnette.vision.reading_order import in_reading_order, unwrapped
from lorgnette.vision.scene_text import SceneText, place_name
from lorgnette.vision.text_detector import TextBox, TextDetector
from lorgnette.vision.text_line import TextLine
from lorgnette.vision.text_recognizer import TextRecognizer

DETECTION, RECOGNITION = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
"""Names of the two networks in the weight's folder."""

# How much of a picture the detector sees: enough for letters a fortieth of a scene high, and for a page of print.
_SCENE_PIXELS, _PAGE_PIXELS = 320_000, 1_600_000
# Enough to tell whether there is writing that stands out, for an eighth of the time that finding all of it takes.
_GLANCE_PIXELS = 40_000
_SCENE_LINES, _PAGE_LINES = 24, 300
_SCENE_CHARACTERS = 1_000
_LONGEST_LINE = 120
# On photographs without writing the networks find people, wheels and trees that look like one or two characters, large
# ones as a rule. Lines that are there are read with more than .95 unless they can hardly be made out.
_LEAST_CONFIDENCE, _LEAST_CONFIDENCE_SHORT = 0.8, 0.9
_SHORT = 3
_BULKY_HEIGHT, _BULKY_RATIO = 0.3, 1.5


class TextReader:
    """The two networks at work. May be used by several threads.

    What limits reading is how many pixels are looked at and how many lines are read, and that it runs only where
    somebody calls for it.
    """

    def __init__(self, detector: TextDetector, recognizer: TextRecognizer) -> None:
        self._detector = detector
        self._recognizer = recognizer

    @classmethod
    def open(cls, folder: Path, threads: int = 0) -> TextReader:
        """The networks in `folder`. `threads` as in OnnxSession. Raises SessionError."""
        detection, recognition = (OnnxSession(folder / name, threads) for name in (DETECTION, RECOGNITION))
        return cls(TextDetector(detection), TextRecognizer(recognition))

    def has_writing(self, frame: Frame) -> bool:
        """Whether a glance shows writing that stands out (letters a twentieth of the picture high, about)."""
        return bool(self._find(frame, _GLANCE_PIXELS))

    def read_scene(self, frame: Frame) -> tuple[SceneText, ...]:
        """What is written, as a language model is told: bounded in number and length, the largest and most central
        lines where there are too many, in the order of reading. A sentence over several lines is one."""
        lines = unwrapped(self._read(frame, _SCENE_PIXELS, _SCENE_LINES), _LONGEST_LINE)
        told = itertools.accumulate(len(line.text) for line in lines)
        return tuple(
            _scene_text(line, frame) for line, total in zip(lines, told, strict=True) if total <= _SCENE_CHARACTERS
        )

    def read_page(self, frame: Frame) -> list[TextLine]:
        """All lines of a page in the order of reading."""
        return self._read(frame, _PAGE_PIXELS, _PAGE_LINES)

    def _read(self, frame: Frame, pixels: int, most: int) -> list[TextLine]:
        boxes = sorted(self._find(frame, pixels), key=lambda box: _weight(box, frame), reverse=True)
        lines = self._recognizer.read(frame, boxes[:most])
        return in_reading_order([line for line in lines if _is_sure(line)])

    def _find(self, frame: Frame, pixels: int) -> list[TextBox]:
        return [box for box in self._detector.find(frame, pixels) if not _is_bulky(box, frame)]


def _is_bulky(box: TextBox, frame: Frame) -> bool:
    """Whether a box is about as high as wide and so large that it is hardly a character."""
    low, high = sorted((box.width, box.height))
    return high < _BULKY_RATIO * low and low > _BULKY_HEIGHT * frame.height


def _is_sure(line: TextLine) -> bool:
    letters = sum(character.isalnum() for character in line.text)
    least = _LEAST_CONFIDENCE_SHORT if letters <= _SHORT else _LEAST_CONFIDENCE
    return letters > 0 and line.confidence >= least


def _weight(box: TextBox, frame: Frame) -> float:
    """How much a box stands out: its height, halved towards the corners of the picture."""
    x, y = box.corners.mean(axis=0) / (frame.width, frame.height) - 0.5
    return min(box.width, box.height) * (1 - math.hypot(x, y) / math.sqrt(2))


def _scene_text(line: TextLine, frame: Frame) -> SceneText:
    x, y = line.centre
    return SceneText(line.text[:_LONGEST_LINE], place_name(x / frame.width, y / frame.height))
