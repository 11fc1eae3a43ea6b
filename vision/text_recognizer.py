"""Reads one line of text: the recognition network of PP-OCR, and greedy decoding of what it says column by column.

The network gives for each eighth column of pixels the probabilities of all characters and of "blank"; the line is the
likeliest of each, repetitions and blanks removed (Graves et al., Connectionist Temporal Classification, 2006).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lorgnette.device.frame import Frame
from lorgnette.device.session import OnnxSession, SessionError
from lorgnette.vision.text_detector import TextBox
from lorgnette.vision.text_line import TextLine

Pixels = npt.NDArray[np.uint8]

_HEIGHT = 48
# A line longer than this many times its height is squeezed: the network's time grows with the width it sees.
_WIDEST = 60.0
_NARROWEST_PIXELS = 32
_UPRIGHT_RATIO = 1.5
# Below this confidence a line may be upside down, and is if it is read so much more surely the other way ("son" reads
# as "UOS" too). Lines that are the right way up are nearly always above it, so that few are read twice.
_DOUBTFUL = 0.85
_SURER = 0.15


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture of a line says; `confidence` is the mean probability of its characters (0 for an empty text)."""

    text: str
    confidence: float


class TextRecognizer:
    """A session with one input [batch, 3, 48, width] and one output [batch, columns, characters + 2] of probabilities.

    The characters are in the model file itself. Raises SessionError where they are not.
    """

    def __init__(self, session: OnnxSession) -> None:
        self._session = session
        self._input = next(iter(session.inputs))
        self._output = next(iter(session.outputs))
        listed = session.raw.get_modelmeta().custom_metadata_map.get("character", "")
        # The network's own order: blank, the listed ones, space.
        self._characters = ("", *listed.split("\n"), " ")
        classes = session.outputs[self._output].shape[-1]
        if classes != len(self._characters):
            raise SessionError(
                f"{session.path.name} lists {len(self._characters) - 2} characters for {classes} classes",
                "fetch it again",
            )

    def read(self, frame: Frame, boxes: Iterable[TextBox]) -> list[TextLine]:
        """What is written in each of `boxes` of `frame`. Raises SessionError."""
        return [self._read(frame.pixels, box) for box in boxes]

    def _read(self, pixels: Pixels, box: TextBox) -> TextLine:
        # A box that is much higher than wide holds a line that runs upwards, or downwards.
        corners = np.roll(box.corners, 1, axis=0) if box.height >= _UPRIGHT_RATIO * box.width else box.corners
        reading = self.recognize(_cut_out(pixels, corners))
        if reading.confidence < _DOUBTFUL:
            turned = np.roll(corners, 2, axis=0)
            other = self.recognize(_cut_out(pixels, turned))
            if other.confidence > reading.confidence + _SURER:
                reading, corners = other, turned
        return TextLine(" ".join(reading.text.split()), reading.confidence, corners)

    def recognize(self, line: Pixels) -> Reading:
        """What the picture `line` (RGB uint8 [height, width, 3]) of one horizontal line says."""
        ratio = min(line.shape[1] / line.shape[0], _WIDEST)
        width = max(math.ceil(_HEIGHT * ratio), _NARROWEST_PIXELS)
        filtering = cv2.INTER_AREA if line.shape[0] > _HEIGHT else cv2.INTER_LINEAR
        resized = np.asarray(cv2.resize(line, (width, _HEIGHT), interpolation=filtering), np.float32)
        # Blue first, in -1..1, as the network was trained. One line at a time: the lines of a scene differ in length,
        # and padding them to the longest costs more than a batch saves.
        image = np.ascontiguousarray(resized[None, :, :, ::-1].transpose(0, 3, 1, 2) / 127.5 - 1.0)
        return self._decode(self._session.run({self._input: image})[self._output][0])

    def _decode(self, probabilities: npt.NDArray[np.float32]) -> Reading:
        best = probabilities.argmax(axis=1)
        kept = best != 0
        kept[1:] &= best[1:] != best[:-1]
        text = "".join(self._characters[index] for index in best[kept])
        return Reading(text, float(probabilities.max(axis=1)[kept].mean()) if text.strip() else 0.0)


def _cut_out(pixels: Pixels, corners: npt.NDArray[np.float32]) -> Pixels:
    """The rectangle at `corners` as a picture of its own, its first two corners at the top."""
    width = max(round(float(np.linalg.norm(corners[1] - corners[0]))), 1)
    height = max(round(float(np.linalg.norm(corners[3] - corners[0]))), 1)
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    transform = cv2.getPerspectiveTransform(corners, target)
    line = cv2.warpPerspective(
        pixels, transform, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(line, dtype=np.uint8)
