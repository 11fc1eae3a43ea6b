"""What came of a scenario, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from lorgnette.assistant.scenario.event_log import Happened
from lorgnette.assistant.scenario.scenario import Scenario, Step
from lorgnette.device.sound import AudioChunk


@dataclass(frozen=True, slots=True)
class Window:
    """The time of one step, to the beginning of the next, in room time. `asked_s` is when the wearer had finished,
    `happened` what happened in it, `lit` the sources for which the lamp was lit at its end; `missed` is the event that
    the step waited for and that did not come ("" where it came)."""

    step: Step
    begin_s: float
    asked_s: float
    end_s: float
    happened: tuple[Happened, ...]
    lit: tuple[str, ...]
    missed: str = ""


@dataclass(frozen=True, slots=True)
class Performance:
    """A scenario that was played. Both sides of the room's sound are at 16 kHz and begin at room time 0."""

    scenario: Scenario
    windows: tuple[Window, ...]
    listened: AudioChunk
    heard: AudioChunk
    breaches: tuple[str, ...]
