"""The browser's camera as one of ours."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from lorgnette.assistant.simulator.link import Link
from lorgnette.assistant.simulator.protocol import Packet, ProtocolError
from lorgnette.device.camera import StaleFrame, fresh
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError, InputError
from lorgnette.device.frame import Frame
from lorgnette.device.picture import decode_picture
from lorgnette.device.picture_header import read_header

_FIRST_PICTURE_S = 3.0
_OLDEST_S = 60.0
_KNOWN_AT_MOST = 32


@dataclass(frozen=True, slots=True)
class _Arrived:
    encoded: bytes
    taken_ns: int


class PageCamera:
    """Sees what the page sends, which it does only between the `open` and the `close` that it is told.

    Pictures arrive as JPEG at `frame_rate_hz`, no side longer than `longest_px`, and are decoded when one is wanted.
    """

    def __init__(self, link: Link, gate: CaptureGate, longest_px: int = 1280, frame_rate_hz: float = 5.0) -> None:
        self._link = link
        self._gate = gate
        self._longest_px = longest_px
        self._frame_rate_hz = frame_rate_hz
        self._open = ExitStack()
        self._visit: int | None = None
        self._stream = 0
        self._newest: _Arrived | None = None
        self._decoded: Frame | None = None
        self._looked_at: dict[int, bytes] = {}
        self._moved = threading.Condition()
        self._using = threading.RLock()
        self.refusal = ""

    @property
    def stream(self) -> int | None:
        """The number of the stream that is open."""
        return self._stream if self._visit is not None else None

    def receive(self, packet: Packet) -> None:
        """Called for every picture; one of a stream that is closed is let fall. Raises ProtocolError."""
        header = read_header(packet.body)
        if header is None or header.kind != "JPEG":
            raise ProtocolError("a picture is not a JPEG", "the page sends JPEG")
        taken_ns = time.monotonic_ns() - min(packet.position * 1000, round(_OLDEST_S * 1e9))
        with self._moved:
            if self._visit is not None and packet.stream == self._stream:
                self._newest = _Arrived(packet.body, taken_ns)
                self._moved.notify_all()

    def latest(self, max_age_s: float) -> Frame:
        """As Camera.latest: waits for the first picture after opening."""
        with self._using:
            visit = self._link.require("camera")
            if self.refusal:
                self.close()
                raise DeviceError(f"the browser gives no camera: {self.refusal}", "allow it, or choose a picture file")
            if self._visit is not None and self._visit != visit:
                self.close()
            if self._visit is None:
                self._ask(visit)
            return fresh(self._frame(self._await_first()), max_age_s)

    def encoded(self, frame: Frame) -> bytes | None:
        """The JPEG that a frame was decoded from, as long as it is one of the last few."""
        return self._looked_at.get(frame.timestamp_ns)

    def close(self) -> None:
        """Ask for no more pictures and put the indicator out. Does nothing when it is not open."""
        with self._using:
            with self._moved:
                self._visit = self._newest = self._decoded = None
            self._open.pop_all().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, visit: int) -> None:
        self._open.enter_context(self._gate.capturing("camera"))
        with self._moved:
            self._stream = (self._stream + 1) % 2**16
            self._visit = visit
        asked = {"type": "open", "device": "camera", "stream": self._stream}
        self._link.send(asked | {"longest_px": self._longest_px, "frame_rate_hz": self._frame_rate_hz})
        closing = {"type": "close", "device": "camera", "stream": self._stream}
        self._open.callback(self._link.send, closing)

    def _await_first(self) -> _Arrived:
        with self._moved:
            self._moved.wait_for(lambda: self._newest is not None or self._link.visit != self._visit, _FIRST_PICTURE_S)
            if self._newest is not None:
                return self._newest
        self.close()
        raise StaleFrame("the page sends no pictures", "is its camera running?")

    def _frame(self, arrived: _Arrived) -> Frame:
        if self._decoded is None or self._decoded.timestamp_ns != arrived.taken_ns:
            try:
                self._decoded = Frame(decode_picture(arrived.encoded, "the page's picture").pixels, arrived.taken_ns)
            except InputError as error:
                raise DeviceError(error.message, error.hint) from error
            known = [*self._looked_at.items(), (arrived.taken_ns, arrived.encoded)]
            self._looked_at = dict(known[-_KNOWN_AT_MOST:])
        return self._decoded


def encode_jpeg(frame: Frame) -> bytes:
    """A frame as the page can show it."""
    import cv2

    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(frame.pixels[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return encoded.tobytes()
