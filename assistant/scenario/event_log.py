"""What happened in a scenario, in room time, and the lamp that has to be lit for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lorgnette.assistant.live.events import AnswerBegan, CaptureChanged, LiveEvent, Looked, SpeechBegan
from lorgnette.assistant.scenario.event_pattern import EventPattern


@dataclass(frozen=True, slots=True)
class Happened:
    """An event and the room time at which it was told."""

    at_s: float
    event: LiveEvent


class RecordingLamp:
    """A capture indicator that remembers when it was lit: an `Indicator`. `tell` hears of every change."""

    def __init__(self, tell: Callable[[LiveEvent], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._changes: dict[str, list[tuple[int, bool]]] = {}

    def light(self, source: str) -> None:
        self._change(source, True)

    def dark(self, source: str) -> None:
        self._change(source, False)

    def lit(self) -> tuple[str, ...]:
        """The sources that it is lit for now, in the order of the alphabet."""
        with self._lock:
            return tuple(sorted(source for source, changes in self._changes.items() if changes[-1][1]))

    def was_lit(self, source: str, at_ns: int) -> bool:
        """Whether it was lit for `source` at that monotonic time."""
        with self._lock:
            before = [on for changed_ns, on in self._changes.get(source, []) if changed_ns <= at_ns]
            return bool(before) and before[-1]

    def _change(self, source: str, on: bool) -> None:
        with self._lock:
            self._changes.setdefault(source, []).append((time.monotonic_ns(), on))
        self._tell(CaptureChanged(source, on))


class EventLog:
    """Remembers events; `watch` is what a LiveAssistant is given. `now_s` is the room's clock.

    `breaches` says where something was seen or heard while the lamp was not lit for it.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._happened: list[Happened] = []
        self.lamp = RecordingLamp(self.watch)
        self.breaches: list[str] = []

    def watch(self, event: LiveEvent) -> None:
        """Remember an event, from any thread."""
        happened = Happened(self._now_s(), event)
        with self._lock:
            self._happened.append(happened)
        if isinstance(event, Looked | AnswerBegan) and event.picture is not None:
            self.check("camera", event.picture.timestamp_ns)
        elif isinstance(event, SpeechBegan):
            self.check("microphone", time.monotonic_ns())

    def check(self, source: str, at_ns: int) -> None:
        """Something was taken from `source` at that monotonic time: the lamp must have been lit."""
        if not self.lamp.was_lit(source, at_ns):
            self.breaches.append(f"the {source} captured in the dark at {self._now_s():.2f} s")

    def since(self, mark: int, end: int | None = None) -> list[Happened]:
        """What happened from `mark` on, a value of `mark` taken earlier, up to `end`."""
        with self._lock:
            return self._happened[mark:end]

    @property
    def mark(self) -> int:
        """How much has happened."""
        with self._lock:
            return len(self._happened)

    def first(self, pattern: EventPattern, mark: int) -> Happened | None:
        """The first event of that kind from `mark` on."""
        return next((one for one in self.since(mark) if pattern.matches(one.event)), None)
