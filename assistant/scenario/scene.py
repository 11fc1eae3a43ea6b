"""What is before the camera in a scenario, and the camera that sees it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from lorgnette.assistant.scenario.scenario import View
from lorgnette.device.camera import fresh
from lorgnette.device.capture import CaptureGate
from lorgnette.device.frame import Frame
from lorgnette.device.picture import load_picture

Pixels = npt.NDArray[np.uint8]

SPOILED = ("", "dark", "covered", "blurred")
_SIGN_PX = (960, 540)
_LETTER_PX = 56
_LINE_CHARACTERS = 26


class SceneCamera:
    """A `Camera` before which `view` is; like a real one it stays open, indicator lit, from the first picture on."""

    def __init__(self, view: View, gate: CaptureGate) -> None:
        self._gate = gate
        self._open: ExitStack | None = None
        self.show(view)

    def show(self, view: View) -> None:
        """From now on it sees this. Raises InputError where there is no such picture."""
        self._pixels = paint(view)

    def latest(self, max_age_s: float) -> Frame:
        """As Camera.latest."""
        if self._open is None:
            with ExitStack() as opening:
                opening.enter_context(self._gate.capturing("camera"))
                self._open = opening.pop_all()
        return fresh(Frame(self._pixels, time.monotonic_ns()), max_age_s)

    def close(self) -> None:
        """As Camera.close."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def paint(view: View) -> Pixels:
    """The pixels of a view, shape (height, width, 3). Raises InputError where the picture cannot be read."""
    pixels = load_picture(view.picture).pixels if view.picture is not None else _board(view.sign)
    grain = np.random.default_rng(0).normal(0, 1, pixels.shape)
    match view.spoiled:
        case "dark":
            return np.clip(pixels * 0.02 + grain, 0, 255).astype(np.uint8)
        case "covered":
            return np.clip(6 + grain, 0, 255).astype(np.uint8)
        case "blurred":
            sigma = max(pixels.shape[:2]) / 30
            return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)
        case _:
            return pixels


def _board(words: str) -> Pixels:
    """A white board on a grey wall with `words` in black on it."""
    board = Image.new("RGB", _SIGN_PX, (120, 124, 130))
    draw = ImageDraw.Draw(board)
    width, height = _SIGN_PX
    draw.rectangle((40, 40, width - 40, height - 40), fill=(250, 250, 246), outline=(20, 20, 20), width=6)
    text = "\n".join(_lines(words))
    middle = (width / 2, height / 2)
    font = ImageFont.load_default(_LETTER_PX)
    draw.multiline_text(middle, text, fill=(10, 10, 10), font=font, anchor="mm", align="center", spacing=18)
    return np.asarray(board, np.uint8)


def _lines(words: str) -> list[str]:
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) > _LINE_CHARACTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
