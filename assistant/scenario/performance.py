"""Playing a scenario: the wearer, the glasses and the assistant on one clock, and a record of what happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

from lorgnette.assistant.config import Config
from lorgnette.assistant.live.assistant import LiveAssistant, LiveDevices, LiveParts
from lorgnette.assistant.live.events import QuestionHeard, SpeechPaused, SpeechResumed, State
from lorgnette.assistant.scenario.event_log import EventLog
from lorgnette.assistant.scenario.judge import unmet
from lorgnette.assistant.scenario.scenario import Break, Do, Play, Say, Scenario, SendAfter, Show, Step, Wait
from lorgnette.assistant.scenario.scene import SceneCamera
from lorgnette.assistant.scenario.sounds import cough, noise
from lorgnette.assistant.scenario.wearer import recorded, speak
from lorgnette.assistant.scenario.window import Performance, Window
from lorgnette.assistant.simulator.faults import FaultSwitches, FaultyCamera, FaultyMicrophone, FaultySpeaker
from lorgnette.device.capture import CaptureGate
from lorgnette.device.microphone import Microphone
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk

_POLL_S = 0.01
_SETTLE_S = 0.4
_LISTEN_S = 2.5
"""Room time after which what has not begun will not come: longer than any pause that belongs to a question."""


class WitnessedMicrophone:
    """A microphone under whose every chunk the lamp is looked at."""

    def __init__(self, microphone: Microphone, log: EventLog) -> None:
        self._microphone = microphone
        self._log = log

    def chunks(self) -> Iterator[AudioChunk]:
        """As Microphone.chunks."""
        with closing(cast(Any, self._microphone.chunks())) as chunks:
            for chunk in chunks:
                self._log.check("microphone", time.monotonic_ns())
                yield chunk


def perform(scenario: Scenario, parts: LiveParts, config: Config, patience_s: float = 30.0) -> Performance:
    """Play all steps. What is expected and does not come is waited for `patience_s`, on the wall's clock."""
    player = _Player(scenario, patience_s)
    watch, max_age_s = player.log.watch, config.camera.max_age_s
    with LiveAssistant(parts, player.devices, config.live, watch, max_age_s=max_age_s) as assistant:
        windows = player.play(assistant)
        listened, heard = player.room.listened(), player.room.heard()
    return Performance(scenario, windows, listened, heard, tuple(player.log.breaches))


@dataclass(frozen=True, slots=True)
class _Opened:
    """A step that is going on: since event number `mark`."""

    step: Step
    mark: int
    begin_s: float
    asked_s: float
    missed: str


class _Player:
    def __init__(self, scenario: Scenario, patience_s: float) -> None:
        around = scenario.surroundings
        self._steps = scenario.steps
        self._patience_s = patience_s
        self.log = EventLog(lambda: self.room.now_s)
        gate = CaptureGate(self.log.lamp)
        sound = noise(around.noise, around.snr_db) if around.noise else None
        self.room = Room(gate, around.pace, around.echo_gain, around.echo_delay_s, noise=sound)
        self._camera = SceneCamera(scenario.view, gate)
        self._switches = FaultSwitches()
        self.devices = LiveDevices(
            FaultyCamera(self._camera, self._switches),
            WitnessedMicrophone(FaultyMicrophone(self.room.microphone, self._switches), self.log),
            FaultySpeaker(self.room.speaker, self._switches),
        )

    def play(self, assistant: LiveAssistant) -> tuple[Window, ...]:
        self._until(lambda: "microphone" in self.log.lamp.lit())
        windows: list[Window] = []
        current = self._open(self._steps[0], assistant, "")
        for step in self._steps[1:]:
            missed = ""
            if step.send_after:
                missed = self._come_to(step.send_after, current)
            else:
                self._rest(current, assistant)
            windows.append(self._close(current))
            current = self._open(step, assistant, missed)
        self._rest(current, assistant)
        return (*windows, self._close(current))

    def _open(self, step: Step, assistant: LiveAssistant, missed: str) -> _Opened:
        mark, begin_s = self.log.mark, self.room.now_s
        return _Opened(step, mark, begin_s, self._act(step, assistant), missed)

    def _close(self, opened: _Opened) -> Window:
        happened, lit = tuple(self.log.since(opened.mark)), self.log.lamp.lit()
        return Window(opened.step, opened.begin_s, opened.asked_s, self.room.now_s, happened, lit, opened.missed)

    def _act(self, step: Step, assistant: LiveAssistant) -> float:
        """Do it, and say at what room time it will be done."""
        match step.action:
            case Say(parts, voice, level):
                return self.room.say(speak(parts, voice), level)[1]
            case Play(recording, level):
                return self.room.say(recorded(recording) if recording else cough(), level)[1]
            case Show(view):
                self._camera.show(view)
            case Break(faults):
                self._switches.now = faults
            case Wait(duration_s):
                return self.room.now_s + duration_s
            case Do(what, value):
                method = getattr(assistant, what)
                method() if value is None else method(value)
        return self.room.now_s

    def _come_to(self, after: SendAfter, current: _Opened) -> str:
        begin_s = current.begin_s
        if after.event is not None:
            event = after.event
            self._until(lambda: self.log.first(event, current.mark) is not None)
            happened = self.log.first(event, current.mark)
            if happened is None:
                return str(event)
            begin_s = happened.at_s
        self.room.sleep(begin_s + after.delay_s - self.room.now_s)
        return ""

    def _rest(self, current: _Opened, assistant: LiveAssistant) -> None:
        """Until the step is done, what it expects has come, and nothing more is to be expected."""
        self.room.sleep(current.asked_s - self.room.now_s)
        expect = current.step.expect
        if expect is None:
            return
        waits = bool(unmet(expect, ()))
        self._until(lambda: not unmet(expect, self.log.since(current.mark)))
        quiet_s = _SETTLE_S if waits else _LISTEN_S
        since_s = self.room.now_s if waits else current.asked_s

        def is_quiet() -> bool:
            nonlocal since_s
            if assistant.state in (State.THINKING, State.SPEAKING) or self._is_understanding():
                since_s = self.room.now_s
            return self.room.now_s - since_s >= quiet_s

        self._until(is_quiet)

    def _is_understanding(self) -> bool:
        """Whether something that was said has not been understood yet."""
        kinds = SpeechPaused | SpeechResumed | QuestionHeard
        last = next((one.event for one in reversed(self.log.since(0)) if isinstance(one.event, kinds)), None)
        return isinstance(last, SpeechPaused)

    def _until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._patience_s
        while not true() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
