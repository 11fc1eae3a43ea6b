"""A tape played to the devices again, at the pace at which it was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from lorgnette.assistant.simulator.page_camera import PageCamera
from lorgnette.assistant.simulator.page_microphone import PageMicrophone
from lorgnette.assistant.simulator.protocol import Kind, Packet
from lorgnette.assistant.simulator.recording import Tape
from lorgnette.assistant.simulator.tape_file import replayable
from lorgnette.device.microphone import CHUNK_SAMPLES
from lorgnette.device.sound_file import SPEECH_RATE_HZ

_TICK_S = CHUNK_SAMPLES / SPEECH_RATE_HZ
_TICKS_A_PICTURE = 6
_TICKS_A_REPORT = 16
_SHOWN_BEFORE_S = 0.5
"""So long before a picture was taken it is shown already: the second time the glasses may look a little earlier."""

_AFTERWARDS_S = 15.0
"""Of silence, in which the last answer is given: it may take longer than the first time."""


class Replay:
    """Feeds the devices with what the page sent when the tape was recorded, and gives the same commands."""

    def __init__(
        self,
        tape: Tape,
        microphone: PageMicrophone,
        camera: PageCamera,
        command: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._tape = tape
        self._microphone = microphone
        self._camera = camera
        self._command = command
        self._commands = [(at_s, command) for at_s, command in tape.commands if replayable(command)]
        self._streams = (-1, -1)
        self._sent = 0

    @property
    def duration_s(self) -> float:
        return self._tape.duration_s + _AFTERWARDS_S

    async def run(self, tell: Callable[[float], None]) -> None:
        """Play it all; `tell` hears now and then how far it is, in seconds."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for tick in range(round(self.duration_s / _TICK_S)):
            await asyncio.sleep(max(0.0, began_s + (tick + 1) * _TICK_S - loop.time()))
            at_s = tick * _TICK_S
            while self._commands and self._commands[0][0] <= at_s:
                self._command(self._commands.pop(0)[1])
            self._hear(tick)
            # A camera that has just been opened is not kept waiting.
            opened = self._camera.stream not in (None, self._streams[1])
            if tick % _TICKS_A_PICTURE == 0 or opened:
                self._see(at_s)
            self._streams = (self._streams[0], self._camera.stream or -1)
            if tick % _TICKS_A_REPORT == 0:
                tell(at_s)

    def _hear(self, tick: int) -> None:
        stream = self._microphone.stream
        if stream is None:
            return
        if stream != self._streams[0]:
            self._streams, self._sent = (stream, self._streams[1]), 0
        samples = self._tape.sound[tick * CHUNK_SAMPLES : (tick + 1) * CHUNK_SAMPLES, 0]
        body = samples.astype("<i2").tobytes().ljust(2 * CHUNK_SAMPLES, b"\0")
        self._microphone.receive(Packet(Kind.SOUND_HEARD, stream, self._sent // CHUNK_SAMPLES, self._sent, body))
        self._sent += CHUNK_SAMPLES

    def _see(self, at_s: float) -> None:
        stream = self._camera.stream
        if stream is None or not self._tape.pictures:
            return
        pictures = self._tape.pictures
        shown = pictures[0][1]
        for (before_s, _), (taken_s, picture) in pairwise(pictures):
            if at_s >= max((before_s + taken_s) / 2, taken_s - _SHOWN_BEFORE_S):
                shown = picture
        self._camera.receive(Packet(Kind.PICTURE_SEEN, stream, 0, 0, shown))
