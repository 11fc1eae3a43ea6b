"""A conversation that repeats what it hears, a server for it, and a page: the simulator without model or browser."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from lorgnette.assistant.background import Worker
from lorgnette.assistant.live.events import (
    AnswerText,
    LiveEvent,
    Looked,
    QuestionHeard,
    State,
    StateChanged,
    Trouble,
    TurnDone,
)
from lorgnette.assistant.simulator.protocol import Kind, Packet
from lorgnette.assistant.simulator.recording import Tape
from lorgnette.assistant.simulator.server import CameraFile, SimulatorServer
from lorgnette.assistant.simulator.session import Scene, Session
from lorgnette.assistant.trace import TurnTrace
from lorgnette.device.camera import Camera
from lorgnette.device.errors import DeviceError
from lorgnette.device.microphone import Microphone
from lorgnette.device.speaker import LiveSpeaker


@dataclass
class Parrot:
    """Plays what it hears, looks when the button is pressed, and answers a written question with itself."""

    camera: Camera
    microphone: Microphone
    speaker: LiveSpeaker
    watch: Callable[[LiveEvent], None]
    calls: list[tuple[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._ended = False
        self._turn = 0
        self._ear = Worker("parrot", self._listen, lambda: not self._ended, self._failed, retry_s=0.05)

    def start(self) -> None:
        self._ear.start()
        self.watch(StateChanged(State.IDLE, "started"))

    def close(self) -> None:
        self._ended = True
        self._ear.join()
        self.camera.close()

    def press_button(self) -> None:
        self.calls.append(("press_button", None))
        try:
            self.watch(Looked(self.camera.latest(5.0), 1.0, cached=False))
        except DeviceError as error:
            self.watch(Trouble("camera", error.message, error.hint))

    def tap(self) -> None:
        self.calls.append(("tap", None))

    def hold_button(self, held: bool) -> None:
        self.calls.append(("hold_button", held))

    def wear(self, worn: bool) -> None:
        self.fold(not worn)

    def fold(self, folded: bool) -> None:
        (self._open.clear if folded else self._open.set)()
        if folded:
            self.camera.close()
        self.watch(StateChanged(State.ASLEEP if folded else State.IDLE, "folded" if folded else "unfolded"))

    def battery(self, level: float) -> None:
        self.calls.append(("battery", level))

    def heat(self, level: str) -> None:
        self.calls.append(("heat", level))

    def ask(self, text: str) -> None:
        self._turn += 1
        self.watch(QuestionHeard(self._turn, 0, text, "question"))
        self.watch(AnswerText(self._turn, 0, text))
        times = {"asked_at_ns": 1_000_000, "answer_start_at_ns": 2_000_000, "first_token_at_ns": 80_000_000}
        trace = TurnTrace("now", "parrot", "answered", spoken=False, last_token_at_ns=200_000_000, **times)
        self.watch(TurnDone(self._turn, text, text, trace))

    def stop(self) -> None:
        self.speaker.clear()

    def repeat(self) -> None:
        self.calls.append(("repeat", None))

    def _listen(self) -> None:
        while not self._ended:
            if not self._open.wait(0.02):
                continue
            chunks = self.microphone.chunks()
            try:
                for chunk in chunks:
                    if self._ended or not self._open.is_set():
                        break
                    self.speaker.play(chunk)
            finally:
                chunks.close()  # type: ignore[attr-defined]

    def _failed(self, part: str, error: Exception) -> None:
        assert isinstance(error, DeviceError)
        self.watch(Trouble("microphone", error.message, error.hint))


class Page:
    """What the browser does, in a few lines."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[dict[str, Any]] = []
        self.packets: list[bytes] = []

    async def say(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind} | fields))

    async def until(self, kind: str, **fields: object) -> dict[str, Any]:
        """The next message of this type with these fields."""
        async with asyncio.timeout(20):
            while True:
                data = await self.socket.recv()
                if isinstance(data, bytes):
                    self.packets.append(data)
                    continue
                message = json.loads(data)
                self.seen.append(message)
                if message["type"] == kind and fields.items() <= message.items():
                    return message

    async def packet(self, kind: Kind) -> bytes:
        """The next packet of this kind."""
        async with asyncio.timeout(20):
            while True:
                data = await self.socket.recv()
                if isinstance(data, bytes) and data[0] == kind:
                    return data
                if isinstance(data, str):
                    self.seen.append(json.loads(data))


@dataclass
class Rig:
    """A server that runs, and its conversations."""

    server: SimulatorServer
    session: Session
    parrots: list[Parrot]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def visit(self) -> connect:
        headers = {"Authorization": f"Bearer {self.server.token}"}
        return connect(f"ws://127.0.0.1:{self.server.port}/glasses", additional_headers=headers, max_size=None)


@asynccontextmanager
async def running(
    camera_file: CameraFile | None = None, tape: Tape | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Rig]:
    parrots: list[Parrot] = []

    def begin(
        camera: Camera, microphone: Microphone, speaker: LiveSpeaker, watch: Callable[[LiveEvent], None]
    ) -> Parrot:
        parrots.append(Parrot(camera, microphone, speaker, watch))
        return parrots[-1]

    session = Session(begin, Scene({"engine": "parrot"}, camera_file.name if camera_file else ""), tape)
    server = SimulatorServer(session, host, camera_file=camera_file)
    serving = asyncio.create_task(server.serve())
    try:
        yield Rig(server, session, parrots)
    finally:
        server.stop()
        await serving
        await asyncio.to_thread(session.close)


def make_jpeg(seed: int = 0) -> bytes:
    """A picture of 64 x 48 pixels, as a page would send it."""
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", pixels)[1].tobytes())


def sound_packet(stream: int, sequence: int, samples: np.ndarray[Any, np.dtype[np.int16]]) -> bytes:
    position = sequence * len(samples)
    return Packet(Kind.SOUND_HEARD, stream, sequence, position, samples.astype("<i2").tobytes()).packed()


def picture_packet(stream: int, jpeg: bytes, age_us: int = 0) -> bytes:
    return Packet(Kind.PICTURE_SEEN, stream, 0, age_us, jpeg).packed()
