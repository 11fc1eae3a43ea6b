"""A scenario: a room, a camera, what the wearer does in it, step by step, and what is expected of the assistant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorgnette.assistant.scenario.event_pattern import EventPattern
from lorgnette.assistant.simulator.faults import Faults

DEFAULT_VOICE = "flite/slt"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Room time passes `pace` times as fast as that on the wall. `noise` is "pink", "hum" or a recording ("" for
    none), `snr_db` under the wearer's voice. The microphone hears the loudspeaker at `echo_gain` after `echo_delay_s`.
    """

    pace: float = 1.0
    noise: str = ""
    snr_db: float = 20.0
    echo_gain: float = 0.0
    echo_delay_s: float = 0.05


@dataclass(frozen=True, slots=True)
class View:
    """What is before the camera: a picture file, or a board with `sign` written on it. `spoiled` is "", "dark",
    "covered" or "blurred"."""

    picture: Path | None = None
    sign: str = ""
    spoiled: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence in the middle of what is said."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Say:
    """The wearer, or whoever has this `voice`, speaks. At level 1 all voices are equally loud."""

    parts: tuple[str | Pause, ...]
    voice: str = DEFAULT_VOICE
    level: float = 1.0


@dataclass(frozen=True, slots=True)
class Play:
    """A sound that is no synthetic voice's: a recording, or "cough" where there is none."""

    recording: Path | None
    level: float = 1.0


@dataclass(frozen=True, slots=True)
class Show:
    """The camera sees something else."""

    view: View


@dataclass(frozen=True, slots=True)
class Break:
    """Something goes wrong with the devices, or is right again."""

    faults: Faults


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing happens, for so long in room time."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Do:
    """Something that the glasses report: `what` is a method of LiveAssistant, `value` what it is given (None: no
    argument)."""

    what: str
    value: bool | float | str | None = None


Action = Say | Play | Show | Break | Wait | Do


@dataclass(frozen=True, slots=True)
class SendAfter:
    """When to act, without waiting for the step before to be over: `delay_s` after `event`, counted from that step's
    beginning on, or after that beginning itself."""

    delay_s: float = 0.0
    event: EventPattern | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is to be found between a step's beginning and the next one's. docs/scenarios.md describes each.

    Of words, each entry lists alternatives. None and empty tuples expect nothing.
    """

    answer: tuple[tuple[str, ...], ...] = ()
    answer_not: tuple[str, ...] = ()
    said: tuple[tuple[str, ...], ...] = ()
    understood: tuple[tuple[str, ...], ...] = ()
    answers: int | None = None
    absent: bool = False
    interrupted: bool | None = None
    said_less_than: int | None = None
    silent_after: EventPattern | None = None
    states: tuple[str, ...] = ()
    events: tuple[EventPattern, ...] = ()
    events_not: tuple[EventPattern, ...] = ()
    lit: tuple[str, ...] | None = None
    within_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """An action and what is expected of it (None: the next one comes as soon as this one is done)."""

    action: Action
    send_after: SendAfter | None = None
    expect: Expectation | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """`settings` are of the form a.b=c."""

    name: str
    about: str
    settings: tuple[str, ...]
    surroundings: Surroundings
    view: View
    steps: tuple[Step, ...]
