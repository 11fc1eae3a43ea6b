"""The browser's loudspeaker as one of ours."""

from __future__ import annotations

import math
import threading
import time
from types import TracebackType
from typing import Self

from lorgnette.assistant.simulator.link import Link
from lorgnette.assistant.simulator.protocol import Kind, Packet
from lorgnette.device.errors import DeviceError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.speaker import Listener
from lorgnette.device.wav import from_pcm16, pcm16

_AHEAD_S = 0.4
"""Enough to ride out a hiccup of either side; an interruption takes it back."""

_STUCK_LIMIT_S = 3.0
_REPORT_LATE_S = 0.5
"""So long the clock stands in for the next report of a page that makes any: after that it has stopped."""


class PageSpeaker:
    """A `LiveSpeaker`. The page reports how many samples it has played, and how long its sound card takes with them;
    between two reports, and before the first, the clock tells."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._moved = threading.Condition()
        self._visit = -1
        self._stream = 0
        self._sequence = 0
        self._rate_hz = 0
        self._sent = 0
        self._reported = 0.0
        self._reported_s = 0.0
        self._reports = False
        self._volume = 1.0
        self._listener: Listener = lambda chunk: None
        self.refusal = ""

    @property
    def volume(self) -> float:
        """As LiveSpeaker.volume."""
        return self._volume

    @volume.setter
    def volume(self, volume: float) -> None:
        if volume != self._volume:
            self._volume = volume
            self._link.send({"type": "volume", "level": volume})

    @property
    def waiting_s(self) -> float:
        """As LiveSpeaker.waiting_s."""
        with self._moved:
            return self._waiting() / self._rate_hz if self._rate_hz else 0.0

    def play(self, chunk: AudioChunk) -> None:
        """As Speaker.play; blocks while 0.4 s of sound lie ahead."""
        visit = self._link.require("loudspeaker")
        if self.refusal:
            raise DeviceError(f"the browser plays no sound: {self.refusal}", "click into the page once")
        with self._moved:
            if visit != self._visit or chunk.rate_hz != self._rate_hz:
                self._visit, self._rate_hz, self._reports = visit, chunk.rate_hz, False
                self._next_stream()
                opened = {"type": "open", "device": "speaker", "stream": self._stream}
                self._link.send(opened | {"rate_hz": self._rate_hz, "level": self._volume})
            if self._waiting() <= 0:  # whatever was reported before the pause says nothing about now
                self._reported, self._reported_s = float(self._sent), time.monotonic()
            body = pcm16(chunk.samples).tobytes()
            packet = Packet(Kind.SOUND_TO_PLAY, self._stream, self._sequence, self._sent, body)
            self._sequence += 1
            self._sent += len(chunk.samples)
        self._link.send(packet.packed())
        self._wait_for_room(visit, _AHEAD_S)

    def clear(self) -> float:
        """As LiveSpeaker.clear."""
        with self._moved:
            dropped_s = self._waiting() / self._rate_hz if self._rate_hz else 0.0
            self._next_stream()
            self._link.send({"type": "clear", "device": "speaker", "stream": self._stream})
            self._moved.notify_all()
        return dropped_s

    def played(self, stream: int, position: int, latency_s: float) -> None:
        """The page reports `position` samples played of `stream`, the last of them heard in `latency_s`."""
        with self._moved:
            if stream == self._stream and self._rate_hz:
                self._reported = min(position, self._sent) - latency_s * self._rate_hz
                self._reported_s = time.monotonic()
                self._reports = True
                self._moved.notify_all()

    def monitor(self, listener: Listener) -> None:
        """As LiveSpeaker.monitor; the page sends what it plays."""
        self._listener = listener

    def heard(self, packet: Packet) -> None:
        """The page has played what is in this packet."""
        self._listener(AudioChunk(from_pcm16(packet.body), packet.position))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.clear()
        else:
            self._wait_for_room(self._link.visit, 0.0)

    def _next_stream(self) -> None:
        self._stream = (self._stream + 1) % 2**16
        self._sequence = self._sent = 0
        self._reported, self._reported_s = 0.0, time.monotonic()

    def _waiting(self) -> float:
        """Samples sent and not heard yet."""
        since_s = min(time.monotonic() - self._reported_s, _REPORT_LATE_S if self._reports else math.inf)
        return max(0.0, self._sent - self._reported - since_s * self._rate_hz)

    def _wait_for_room(self, visit: int, ahead_s: float) -> None:
        with self._moved:
            least, moved_s = self._waiting(), time.monotonic()
            while self._waiting() > ahead_s * self._rate_hz:
                if self._link.visit != visit:
                    raise DeviceError("the loudspeaker went away with the page", "open the simulator's page")
                self._moved.wait(max(0.005, min(0.05, self._waiting() / self._rate_hz - ahead_s)))
                if self._waiting() < least:
                    least, moved_s = self._waiting(), time.monotonic()
                if time.monotonic() - moved_s > _STUCK_LIMIT_S:
                    raise DeviceError("the page stopped playing", "is its window asleep?")
