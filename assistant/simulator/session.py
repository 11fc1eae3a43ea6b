"""One pair of virtual glasses: the conversation, its devices, and the page that wears them, which comes and goes."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lorgnette.assistant.background import Errand
from lorgnette.assistant.live.events import LiveEvent, Looked, TurnDone, as_message
from lorgnette.assistant.simulator.conversation import Begin, Conversation
from lorgnette.assistant.simulator.faults import Faults, FaultSwitches, FaultyCamera, FaultyMicrophone, FaultySpeaker
from lorgnette.assistant.simulator.indicator import PageIndicator
from lorgnette.assistant.simulator.link import Link, Outbox
from lorgnette.assistant.simulator.page_camera import PageCamera, encode_jpeg
from lorgnette.assistant.simulator.page_microphone import PageMicrophone
from lorgnette.assistant.simulator.page_speaker import PageSpeaker
from lorgnette.assistant.simulator.protocol import VERSION, Kind, Packet, parse_command, unpack
from lorgnette.assistant.simulator.recording import RecordedMicrophone, RecordedSpeaker, Recording, Tape
from lorgnette.assistant.simulator.replay import Replay
from lorgnette.assistant.simulator.snapshot import Snapshot
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError, LorgnetteError
from lorgnette.device.frame import Frame

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Scene:
    """What the page is told about its glasses: the settings in words, and the camera's picture or video if the page
    is to show one (`camera_file` is its name), no side of it sent longer than `longest_px`."""

    settings: Mapping[str, str]
    camera_file: str = ""
    longest_px: int = 1280
    seed: int = 0


class Session:
    """Lives as long as the server; the conversation begins with the first page and goes on when a page comes back."""

    def __init__(self, begin: Begin, scene: Scene, tape: Tape | None = None) -> None:
        self._begin = begin
        self._scene = scene
        self._lock = threading.RLock()
        self._link = Link()
        self._switches = FaultSwitches()
        self._indicator = PageIndicator(self._link, self._tell)
        gate = CaptureGate(self._indicator)
        self._microphone = PageMicrophone(self._link, gate)
        self._camera = PageCamera(self._link, gate, scene.longest_px)
        self._speaker = PageSpeaker(self._link)
        self._conversation: Conversation | None = None
        self._begun = False
        self._tape_to_play = tape
        self._replay: asyncio.Task[None] | None = None
        self._missing: dict[str, str] = {}
        self._one_by_one = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._renew()

    def attach(self, outbox: Outbox) -> None:
        """A page puts the glasses on; it is told how everything stands. Called in the event loop."""
        with self._lock:
            self._link.attach(outbox)
            self._link.send(self._hello())
            if self._snapshot.looked_at is not None:
                self._link.send(self._snapshot.looked_at)
        if not self._begun:
            self._begun = True
            self._order(self._start)
            if self._tape_to_play is not None:
                self._play(self._tape_to_play)

    def detach(self, outbox: Outbox) -> None:
        """The page went away. Its devices are gone with it; the conversation waits for the next one."""
        self._link.detach(outbox)

    def take_packet(self, data: bytes) -> None:
        """A binary message. Raises ProtocolError."""
        packet = unpack(data)
        if packet.kind == Kind.SOUND_PLAYED:
            self._speaker.heard(packet)
        elif self._replay is not None:
            return
        elif packet.kind == Kind.SOUND_HEARD:
            self._microphone.receive(packet)
        else:
            self._camera.receive(packet)

    def take_text(self, text: str) -> None:
        """A command. Raises ProtocolError."""
        command = parse_command(text)
        if command["type"] == "played":
            self._speaker.played(command["stream"], command["position"], command["latency_s"])
        elif command["type"] == "device":
            self._missing[command["device"]] = "" if command["available"] else command["reason"] or "it is not there"
            self._refuse()
        elif command["type"] == "stop_replay":
            if self._replay is not None:
                self._replay.cancel()
        else:
            self._obey(command)

    async def export(self) -> Tape:
        """The conversation so far."""
        return await on_errand(self._recording.tape, "export")

    async def replay(self, tape: Tape) -> None:
        """Begin anew, with this tape in place of the page's camera and microphone."""
        if not self._link.connected:
            raise DeviceError("there is nobody to play it to", "open the simulator's page")
        if self._replay is not None:
            self._replay.cancel()
        async with self._one_by_one:
            await on_errand(self.close, "close")
            with self._lock:
                self._renew()
                self._link.send(self._hello())
            await on_errand(self._start, "start")
        self._play(tape)

    def close(self) -> None:
        """End the conversation."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.close()

    def _renew(self) -> None:
        self._snapshot = Snapshot()
        self._recording = Recording()

    def _start(self) -> None:
        switches, seed = self._switches, self._scene.seed
        self._conversation = self._begin(
            FaultyCamera(self._camera, switches, seed),
            RecordedMicrophone(FaultyMicrophone(self._microphone, switches, seed), self._recording),
            RecordedSpeaker(FaultySpeaker(self._speaker, switches), self._recording),
            self._tell,
        )
        self._conversation.start()

    def _play(self, tape: Tape) -> None:
        replay = Replay(tape, self._microphone, self._camera, self._obey)
        self._replay = asyncio.get_running_loop().create_task(self._run(replay))
        self._refuse()

    async def _run(self, replay: Replay) -> None:
        try:
            await replay.run(lambda at_s: self._report(replay, at_s, True))
        finally:
            if self._replay is asyncio.current_task():
                self._replay = None
            self._refuse()
            self._report(replay, replay.duration_s, False)

    def _report(self, replay: Replay, at_s: float, running: bool) -> None:
        state = {"running": running, "position_s": round(at_s, 1), "duration_s": round(replay.duration_s, 1)}
        self._link.send({"type": "replay"} | state)

    def _refuse(self) -> None:
        """Tell the devices what the browser does not give; a tape needs nothing of it but the loudspeaker."""
        from_page = self._replay is None
        self._microphone.refusal = self._missing.get("microphone", "") if from_page else ""
        self._camera.refusal = self._missing.get("camera", "") if from_page else ""
        self._speaker.refusal = self._missing.get("speaker", "")

    def _obey(self, command: Mapping[str, Any]) -> None:
        fields = {name: value for name, value in command.items() if name != "type"}
        with self._lock:
            self._recording.asked(command, time.monotonic_ns())
            self._snapshot.obeyed(command)
        if command["type"] == "faults":
            self._switches.now = Faults(**fields)
        else:
            self._order(lambda: getattr(self._conversation, command["type"])(**fields))

    def _order(self, order: Callable[[], None]) -> None:
        """Do this after what was ordered before, away from the event loop: letting go of a camera may have to wait for
        a picture of it, which comes through the loop."""
        task = asyncio.get_running_loop().create_task(self._carry_out(order))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _carry_out(self, order: Callable[[], None]) -> None:
        try:
            async with self._one_by_one:
                await on_errand(order, "order")
        except LorgnetteError as error:
            self._link.send({"type": "error", "message": error.message, "hint": error.hint})

    def _hello(self) -> dict[str, Any]:
        scene = self._scene
        return (
            {"type": "hello", "protocol": VERSION, "at_ns": time.monotonic_ns()}
            | {"settings": dict(scene.settings), "camera_file": scene.camera_file}
            | {"capture": sorted(self._indicator.lit), "faults": dataclasses.asdict(self._switches.now)}
            | {"replaying": self._replay is not None}
            | self._snapshot.message()
        )

    def _tell(self, event: LiveEvent) -> None:
        """Called from the conversation's threads."""
        now_ns = time.monotonic_ns()
        message = as_message(event) | {"at_ns": now_ns}
        if isinstance(event, TurnDone):
            message |= _figures(event)
        with self._lock:
            if isinstance(event, Looked):
                self._show(event.picture)
            self._snapshot.told(message)
            self._recording.said(message, now_ns)
            self._link.send(message)

    def _show(self, frame: Frame) -> None:
        picture = self._camera.encoded(frame) or encode_jpeg(frame)
        self._recording.looked_at(picture, frame.timestamp_ns)
        packet = Packet(Kind.PICTURE_LOOKED_AT, 0, 0, frame.timestamp_ns, picture).packed()
        if packet != self._snapshot.looked_at:
            self._snapshot.looked_at = packet
            self._link.send(packet)


async def on_errand(compute: Callable[[], Value], name: str) -> Value:
    """What `compute` returns, computed on another thread while the event loop goes on."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> Value:
        try:
            return compute()
        finally:
            loop.call_soon_threadsafe(done.set)

    errand = Errand(run, name)
    await done.wait()
    return errand.get()


def _figures(event: TurnDone) -> dict[str, Any]:
    """What the page draws of a turn: its stages in milliseconds from the end of the question."""
    trace = event.trace
    stages = [
        {
            "name": stage.name,
            "start_ms": round((stage.start_ns - trace.asked_at_ns) / 1e6, 1),
            "end_ms": round((stage.end_ns - trace.asked_at_ns) / 1e6, 1),
        }
        for stage in trace.stages()
    ]
    return {"stages": stages, "first_audio_s": trace.first_audio_s, "tokens_per_s": trace.tokens_per_s}
