"""The camera seam, and a camera that takes its pictures from a file."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError, InputError
from lorgnette.device.frame import Frame
from lorgnette.device.picture import load_picture


class StaleFrame(DeviceError):
    """The newest picture is older than was asked for."""


class Camera(Protocol):
    """Something that sees. It opens at the first picture and stays open, indicator lit, until it is closed."""

    def latest(self, max_age_s: float) -> Frame:
        """The newest picture, taken at most `max_age_s` seconds ago.

        Raises StaleFrame rather than return an older one, and DeviceError where there is no camera or it went away.
        """
        ...

    def close(self) -> None:
        """Let go of the device and put the indicator out. Does nothing when it is not open."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FileCamera:
    """A camera that looks at a picture file, which may be replaced while it runs: for demos and tests.

    Each picture is read anew and counts as taken at that moment, through the same gate as a real one.
    """

    def __init__(self, path: str | Path, gate: CaptureGate) -> None:
        self._path = Path(path)
        self._gate = gate
        self._open: ExitStack | None = None

    def show(self, path: str | Path) -> None:
        """Look at another file from now on."""
        self._path = Path(path)

    def latest(self, max_age_s: float) -> Frame:
        """As Camera.latest; raises InputError, and is closed, where the file is not a picture."""
        if self._open is None:
            opening = ExitStack()
            opening.enter_context(self._gate.capturing("camera"))
            self._open = opening
        taken_ns = time.monotonic_ns()
        try:
            picture = load_picture(self._path)
        except InputError:
            self.close()
            raise
        return fresh(Frame(picture.pixels, taken_ns), max_age_s)

    def close(self) -> None:
        """As Camera.close."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fresh(frame: Frame, max_age_s: float) -> Frame:
    """`frame` itself, or StaleFrame where it is older than `max_age_s`."""
    age_s = (time.monotonic_ns() - frame.timestamp_ns) / 1e9
    if age_s > max_age_s:
        raise StaleFrame(
            f"the newest picture is {age_s:.1f} s old, at most {max_age_s:g} s were asked for", "is the camera stuck?"
        )
    return frame
