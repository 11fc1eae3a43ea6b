"""Turns with the live assistant in a room of files, timed from outside: what a microphone at the loudspeaker hears.

Shared by `live.py` and `live_pipecat.py`. Speech begins and ends, on either side, at the first and after the last
sample above -40 dB of its peak. The room works in ticks of 32 ms, and a sample counts as heard one tick after the place
at which the room has it, as from a sound card that plays one block while it is handed the next.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.examples import Example, shipped_examples
from lorgnette.assistant.live.assistant import LiveAssistant, LiveDevices, LiveParts
from lorgnette.assistant.live.events import LiveEvent, Trouble, TurnDone
from lorgnette.assistant.trace import TurnTrace
from lorgnette.device.capture import CaptureGate
from lorgnette.device.frame import Frame
from lorgnette.device.microphone import CHUNK_SAMPLES
from lorgnette.device.picture import load_picture
from lorgnette.device.room import Room
from lorgnette.device.sound_file import SPEECH_RATE_HZ, load_sound

Event = TypeVar("Event")

TICK_S = CHUNK_SAMPLES / SPEECH_RATE_HZ
PATIENCE_S = 40.0

_LOUD = 0.01
_PAUSE_S = 1.0
_TREMOR_PX = 8
_POLL_S = 0.02


def loud_span(samples: npt.NDArray[np.floating]) -> tuple[int, int] | None:
    """The first and after the last sample above -40 dB of the peak; None for silence."""
    level = np.abs(samples)
    peak = float(level.max(initial=0.0))
    loud = np.flatnonzero(level > _LOUD * peak) if peak > 0 else []
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else None


class HandheldCamera:
    """A photograph seen as by a camera in life: noise of its own for each `number`, so that no other turn has seen the
    like, and a hand that trembles, so that no two frames are the same."""

    def __init__(self, gate: CaptureGate) -> None:
        self._gate = gate
        self._frames = 0

    def show(self, example: Example, number: int) -> None:
        """What there is to see from now on."""
        pixels = load_picture(example.photo).pixels
        noise = np.random.default_rng(number).integers(0, 4, pixels.shape, np.uint8)
        self._scene = np.minimum(pixels, 252) + noise
        self._frames = 0

    def latest(self, max_age_s: float) -> Frame:
        """As Camera.latest."""
        with self._gate.capturing("camera"):
            y, x = divmod(self._frames % _TREMOR_PX**2, _TREMOR_PX)
            self._frames += 1
            height, width = self._scene.shape[:2]
            view = self._scene[y : height - _TREMOR_PX + y, x : width - _TREMOR_PX + x]
            return Frame(np.ascontiguousarray(view), time.monotonic_ns())

    def close(self) -> None:
        """Nothing stays open between two pictures."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NoLamp:
    """An indicator for a benchmark."""

    def light(self, source: str) -> None: ...

    def dark(self, source: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A spoken question about a picture; `number` makes the picture a new one."""

    example: Example
    number: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One answered question. Seconds from the end of the wearer's speech until its first sound was handed to the
    loudspeaker and until it was heard; `end_ns` is that end (monotonic), `cut_off` that an answer was heard before."""

    handed_s: float
    heard_s: float
    end_ns: int
    cut_off: bool
    done: TurnDone

    @property
    def trace(self) -> TurnTrace:
        return self.done.trace


def questions(count: int, first_number: int = 0) -> list[Asked]:
    """The shipped questions in turn, each about a picture of its own."""
    shipped = list(shipped_examples().values())
    return [Asked(shipped[number % len(shipped)], first_number + number) for number in range(count)]


class Conversation:
    """The live assistant in a room of its own, from entering to leaving the context."""

    def __init__(self, parts: LiveParts, settings: LiveConfig, gate: CaptureGate) -> None:
        self.room = Room(gate)
        self.camera = HandheldCamera(gate)
        self.events: list[LiveEvent] = []
        devices = LiveDevices(self.camera, self.room.microphone, self.room.speaker)
        self.assistant = LiveAssistant(parts, devices, settings, self.events.append)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self.assistant)
        self.room.sleep(_PAUSE_S / 2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def troubles(self) -> list[str]:
        """What went wrong so far."""
        return [f"{event.part}: {event.message}" for event in self._since(0, Trouble) if not event.over]

    def ask(self, asked: Asked) -> Turn | None:
        """Ask it aloud and hear the answer out; None where the engine gave none within 40 s."""
        self.camera.show(asked.example, asked.number)
        sound = load_sound(asked.example.audio, 60.0)
        span = loud_span(sound.samples)
        assert span is not None, asked.example.audio
        known = len(self.events)
        begin_s, _ = self.room.say(sound)
        start_s, end_s = (begin_s + sample / SPEECH_RATE_HZ for sample in span)
        done = self._answered(known, self.room.at_ns(end_s), end_s + PATIENCE_S)
        turn = self._timed(done, start_s, end_s) if done is not None and done.trace.tokens else None
        self.room.sleep(_PAUSE_S)
        return turn

    def _timed(self, done: TurnDone, start_s: float, end_s: float) -> Turn | None:
        heard, end_ns = self.room.heard().samples, self.room.at_ns(end_s)
        start, end = (round(second * SPEECH_RATE_HZ) for second in (start_s, end_s))
        answer, earlier = loud_span(heard[end:]), loud_span(heard[start:end])
        if answer is None or done.trace.played_at_ns is None:
            return None
        handed_s = (done.trace.played_at_ns - end_ns) / 1e9
        return Turn(handed_s, answer[0] / SPEECH_RATE_HZ + TICK_S, end_ns, earlier is not None, done)

    def _answered(self, known: int, end_ns: int, deadline_s: float) -> TurnDone | None:
        """The first turn whose answer was heard to its end after `end_ns`, from the event number `known` on."""
        while self.room.now_s < deadline_s:
            for event in self._since(known, TurnDone):
                if (event.trace.playback_end_at_ns or 0) > end_ns:
                    return event
            self.room.sleep(_POLL_S)
        return None

    def wait_for(self, kind: type[LiveEvent], known: int) -> bool:
        """Whether such an event comes, after the event number `known`, within 40 s."""
        deadline_s = self.room.now_s + PATIENCE_S
        while self.room.now_s < deadline_s:
            if next(self._since(known, kind), None) is not None:
                return True
            self.room.sleep(_POLL_S)
        return False

    def _since(self, known: int, kind: type[Event]) -> Iterator[Event]:
        return (event for event in self.events[known:] if isinstance(event, kind))


def spread(values: list[float], digits: int = 3) -> dict[str, float]:
    """Median, 95th percentile and worst."""
    figures = {"p50": np.median(values), "p95": np.percentile(values, 95), "worst": max(values)}
    return {name: round(float(value), digits) for name, value in figures.items()}
