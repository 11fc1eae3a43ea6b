"""The one place through which every picture and every sound is taken.

The promise is that the indicator is on whenever something is captured and that nothing is captured when it cannot be
lit. It holds because each camera and microphone takes its samples inside `gate.capturing(...)`, and nowhere else.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from lorgnette.device.errors import DeviceError


class CaptureRefused(DeviceError):
    """The indicator could not be lit, so nothing was captured."""


class Indicator(Protocol):
    """What shows the people around that a source ("camera" or "microphone") is capturing.

    `light` must raise when the lamp did not come on; `dark` when it did not go off.
    """

    def light(self, source: str) -> None: ...

    def dark(self, source: str) -> None: ...


class TerminalIndicator:
    """An indicator for machines without a lamp: one line on standard error when capture starts and when it ends."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def light(self, source: str) -> None:
        self._say(f"[{source} on]")

    def dark(self, source: str) -> None:
        self._say(f"[{source} off]")

    def _say(self, line: str) -> None:
        # Looked up at each use: standard error may be replaced after this object was made.
        stream = sys.stderr if self._stream is None else self._stream
        print(line, file=stream, flush=True)


class CaptureGate:
    """Holds the indicator lit while at least one capture of a source is open; safe to share between threads."""

    def __init__(self, indicator: Indicator) -> None:
        self._indicator = indicator
        self._open: dict[str, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def capturing(self, source: str) -> Iterator[None]:
        """Capture from `source` inside this context. Raises CaptureRefused, before anything is taken, when the
        indicator cannot be lit, and DeviceError afterwards when it cannot be put out."""
        with self._lock:
            if not self._open.get(source):
                self._light(source)
            self._open[source] = self._open.get(source, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._open[source] -= 1
                if not self._open[source]:
                    self._dark(source)

    def is_capturing(self, source: str) -> bool:
        with self._lock:
            return bool(self._open.get(source))

    def _light(self, source: str) -> None:
        try:
            self._indicator.light(source)
        except (OSError, RuntimeError, ValueError, DeviceError) as error:
            raise CaptureRefused(
                f"the capture indicator could not be lit, so the {source} stays off ({error})", "check the indicator"
            ) from error

    def _dark(self, source: str) -> None:
        try:
            self._indicator.dark(source)
        except (OSError, RuntimeError, ValueError) as error:
            raise DeviceError(f"the capture indicator of the {source} could not be put out ({error})") from error
