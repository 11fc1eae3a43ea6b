"""Webcams and video streams through OpenCV."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from lorgnette.device.camera import fresh
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.frame import Frame

# OpenCV waits 10 s for a Video4Linux frame otherwise; it reads this when a camera is opened.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what FFmpeg would print is told in our own line

_OPEN_TIMEOUT_MS = 3000
_READ_TIMEOUT_MS = 3000
_WARM_UP_FRAMES = 5
"""A webcam's first frames are dark or green while it measures the light."""

_QUEUED_AT_MOST = 8
_WAITED_S = 0.004
"""A grab that took longer than this waited for the sensor, so its frame is new; a shorter one emptied a queue."""


class OpenCvCamera:
    """A camera by its index (0 is the first), or a stream or video file by its address.

    `size` is the width and height to ask a camera for; it gives the nearest that it can.
    Drivers queue a few frames, so that after a pause the next one read is old: those are thrown away. A video file
    has no clock and gives one frame a call.
    """

    def __init__(self, source: int | str, gate: CaptureGate, size: tuple[int, int] | None = None) -> None:
        self._source = source
        self._size = size
        self._gate = gate
        self._capture: cv2.VideoCapture | None = None
        self._open = ExitStack()

    def latest(self, max_age_s: float) -> Frame:
        """As Camera.latest. After DeviceError the camera is closed, and the next call tries to open it again."""
        try:
            capture = self._capture or self._opened()
            taken_ns = self._grab_newest(capture)
            got, bgr = capture.retrieve()
        except cv2.error as error:
            self.close()
            raise self._gone() from error
        if not got or bgr is None or bgr.size == 0:
            self.close()
            raise self._gone()
        return fresh(Frame(np.ascontiguousarray(bgr[:, :, ::-1]), taken_ns), max_age_s)

    def close(self) -> None:
        """Let go of the device and put the indicator out. Does nothing when it is not open."""
        self._capture = None
        self._open.pop_all().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> cv2.VideoCapture:
        # From here on the sensor runs, so the indicator burns until it is closed, not only while a frame is read.
        self._open.enter_context(self._gate.capturing("camera"))
        level = cv2.utils.logging.setLogLevel(0)  # its complaints are told in our own line
        try:
            capture = cv2.VideoCapture()
            self._open.callback(capture.release)
            if isinstance(self._source, int):
                is_open = capture.open(self._source)
            else:
                limits = [
                    cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_TIMEOUT_MS,
                    cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READ_TIMEOUT_MS,
                ]  # fmt: skip
                is_open = capture.open(self._source, cv2.CAP_FFMPEG, limits)
        except cv2.error as error:
            self.close()
            raise self._missing() from error
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not is_open:
            self.close()
            raise self._missing()
        if isinstance(self._source, int):
            if self._size:
                capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
                capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
            for _ in range(_WARM_UP_FRAMES):
                capture.grab()
        self._capture = capture
        return capture

    def _grab_newest(self, capture: cv2.VideoCapture) -> int:
        """Advance to the newest frame; when it arrived, in monotonic ns."""
        for _ in range(_QUEUED_AT_MOST if isinstance(self._source, int) else 1):
            asked_ns = time.monotonic_ns()
            if not capture.grab():
                self.close()
                raise self._gone()
            arrived_ns = time.monotonic_ns()
            if arrived_ns - asked_ns > _WAITED_S * 1e9:
                break
        return arrived_ns

    def _missing(self) -> DeviceError:
        if isinstance(self._source, int):
            return DeviceError(
                f"there is no camera {self._source}, or it is in use",
                "plug one in, close other programs, or give a picture file",
            )
        return DeviceError(f"the video {self._source} cannot be opened", "check its address")

    def _gone(self) -> DeviceError:
        return DeviceError(f"camera {self._source} stopped sending pictures", "was it unplugged?")
