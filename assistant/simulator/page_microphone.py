"""The browser's microphone as one of ours."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lorgnette.assistant.simulator.link import Link
from lorgnette.assistant.simulator.protocol import Packet
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.microphone import CHUNK_SAMPLES
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.device.wav import from_pcm16

_SILENT_LIMIT_S = 3.0
_POLL_S = 0.1
_PACKETS_KEPT = 256
_CLOCKS_APART = 2e-4
"""A sound card's clock and the computer's differ by up to 200 ppm."""


class PageMicrophone:
    """Hears what the page sends, which it does only between the `open` and the `close` that it is told."""

    def __init__(self, link: Link, gate: CaptureGate) -> None:
        self._link = link
        self._gate = gate
        self._stream = 0
        self._packets: queue.Queue[tuple[Packet, int]] | None = None
        self.refusal = ""

    @property
    def stream(self) -> int | None:
        """The number of the stream that is open."""
        return self._stream if self._packets is not None else None

    def receive(self, packet: Packet) -> None:
        """Called for every packet of sound; one of a stream that is closed is let fall."""
        packets = self._packets
        if packets is None or packet.stream != self._stream:
            return
        if packets.full():  # whoever is that far behind misses the oldest sound
            packets.get_nowait()
        packets.put_nowait((packet, time.monotonic_ns()))

    def chunks(self) -> Iterator[AudioChunk]:
        """As Microphone.chunks."""
        visit = self._link.require("microphone")
        if self.refusal:
            raise DeviceError(f"the browser gives no microphone: {self.refusal}", "allow it in the address bar")
        with self._gate.capturing("microphone"):
            self._stream = (self._stream + 1) % 2**16
            self._packets = queue.Queue(_PACKETS_KEPT)
            self._link.send({"type": "open", "device": "microphone", "stream": self._stream})
            try:
                yield from _cut(self._arriving(self._packets, visit))
            finally:
                self._packets = None
                self._link.send({"type": "close", "device": "microphone", "stream": self._stream})

    def _arriving(self, packets: queue.Queue[tuple[Packet, int]], visit: int) -> Iterator[tuple[Packet, int]]:
        heard_s = time.monotonic()
        while self._link.visit == visit:
            try:
                yield packets.get(timeout=_POLL_S)
                heard_s = time.monotonic()
            except queue.Empty:
                if self.refusal:
                    raise DeviceError(f"the browser's microphone went away: {self.refusal}", "plug it in") from None
                if time.monotonic() - heard_s > _SILENT_LIMIT_S:
                    raise DeviceError("the page sends no sound", "is its window asleep?") from None
        raise DeviceError("the microphone went away with the page", "open the simulator's page")


def _cut(arriving: Iterator[tuple[Packet, int]]) -> Iterator[AudioChunk]:
    """Packets of any length as chunks of 512 samples."""
    waiting: npt.NDArray[np.float32] = np.zeros(0, np.float32)
    began_ns: float | None = None
    for packet, arrived_ns in arriving:
        samples = from_pcm16(packet.body)
        end = packet.position + len(samples)
        # The stream began when its quickest packet says, apart from a drift of the clocks: later ones were held up.
        seen_ns = arrived_ns - end * 1e9 / SPEECH_RATE_HZ
        drift_ns = len(samples) / SPEECH_RATE_HZ * _CLOCKS_APART * 1e9
        began_ns = seen_ns if began_ns is None else min(seen_ns, began_ns + drift_ns)
        waiting = np.concatenate([waiting, samples])
        while len(waiting) >= CHUNK_SAMPLES:
            first = end - len(waiting)
            yield AudioChunk(waiting[:CHUNK_SAMPLES], SPEECH_RATE_HZ, round(began_ns + first * 1e9 / SPEECH_RATE_HZ))
            waiting = waiting[CHUNK_SAMPLES:]
