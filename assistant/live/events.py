"""What the live assistant tells whoever watches: the simulator's page, the terminal, a test. Small, frozen, in order.

`docs/protocol.md` describes the same events as they travel: `as_message` gives that form. A transcript or an answer is
in them because the watcher is the wearer's own; none of it is logged.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lorgnette.assistant.trace import TurnTrace
from lorgnette.device.frame import Frame


class State(StrEnum):
    """What the assistant is doing. DEGRADED: a part has failed and is being tried again; the rest goes on."""

    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    DEGRADED = "degraded"
    ASLEEP = "asleep"


@dataclass(frozen=True, slots=True)
class StateChanged:
    """`reason` is a short phrase: "wake word", "button", "speech", "answer over", "folded", "microphone lost"."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The wearer speaks. With `reopened` this goes on with the turn that seemed to be over."""

    turn: int
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """Perhaps the end of the turn: an answer is being drafted."""

    turn: int
    revision: int


@dataclass(frozen=True, slots=True)
class SpeechJudged:
    """How likely the end-of-turn model takes what was said for a whole turn."""

    turn: int
    revision: int
    finished_probability: float


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """It was not the end: the draft is thrown away."""

    turn: int
    revision: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The end of the turn; the draft may be heard."""

    turn: int
    revision: int


@dataclass(frozen=True, slots=True)
class PartialHeard:
    """What has been understood so far: `stable` words stay, `tentative` ones may change."""

    turn: int
    stable: str
    tentative: str


@dataclass(frozen=True, slots=True)
class QuestionHeard:
    """The question, as it was understood in this revision. `kind` is "question", "backchannel" (mm-hm, a cough),
    "echo" (the assistant's own voice) or a command: "stop", "repeat"."""

    turn: int
    revision: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A picture was looked at ahead of or for a question; `cached` where it was known already."""

    picture: Frame
    took_ms: float
    cached: bool


@dataclass(frozen=True, slots=True)
class AnswerBegan:
    """An answer is being drafted from `picture` (None: without one)."""

    turn: int
    revision: int
    picture: Frame | None
    picture_age_s: float | None


@dataclass(frozen=True, slots=True)
class AnswerText:
    """The next piece of the answer in writing."""

    turn: int
    revision: int
    text: str


@dataclass(frozen=True, slots=True)
class ClauseReady:
    """A clause of the answer, or (with no text) more of the last one, has become sound of `duration_s`."""

    turn: int
    revision: int
    text: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class SpeakingBegan:
    """The first sample of the answer goes to the loudspeaker."""

    turn: int


@dataclass(frozen=True, slots=True)
class SpeakingDucked:
    """The answer's volume goes down (`ducked`) or back up."""

    turn: int
    ducked: bool


@dataclass(frozen=True, slots=True)
class SpeakingPaused:
    """Somebody speaks over the answer: it is held (`paused`), or goes on because that was no interruption."""

    turn: int
    paused: bool


@dataclass(frozen=True, slots=True)
class SpeakingEnded:
    """The answer is over; `said` is the part that was really heard."""

    turn: int
    said: str
    interrupted: bool


@dataclass(frozen=True, slots=True)
class TurnDone:
    """The turn's record; `question` and `answer` as they enter the conversation."""

    turn: int
    question: str
    answer: str
    trace: TurnTrace


@dataclass(frozen=True, slots=True)
class CaptureChanged:
    """The indicator of a source ("camera" or "microphone") was lit or put out."""

    source: str
    on: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """A part ("microphone", "camera", "speaker", "think", ...) failed; `over` when it works again."""

    part: str
    message: str
    hint: str = ""
    over: bool = False


LiveEvent = (
    StateChanged
    | SpeechBegan
    | SpeechPaused
    | SpeechJudged
    | SpeechResumed
    | SpeechEnded
    | PartialHeard
    | QuestionHeard
    | Looked
    | AnswerBegan
    | AnswerText
    | ClauseReady
    | SpeakingBegan
    | SpeakingDucked
    | SpeakingPaused
    | SpeakingEnded
    | TurnDone
    | CaptureChanged
    | Trouble
)

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def event_name(event: LiveEvent) -> str:
    """The event's name on the wire: "speech_began" for SpeechBegan."""
    return _CAPITAL.sub("_", type(event).__name__).lower()


def as_message(event: LiveEvent) -> dict[str, Any]:
    """The event as it travels: its fields and `type`. Pictures do not: a Frame becomes its size and time."""
    fields = {one.name: getattr(event, one.name) for one in dataclasses.fields(event)}
    return {"type": event_name(event)} | {name: _plain(value) for name, value in fields.items()}


def _plain(value: object) -> object:
    if isinstance(value, Frame):
        return {"width": value.width, "height": value.height, "timestamp_ns": value.timestamp_ns}
    return dataclasses.asdict(value) if isinstance(value, TurnTrace) else value
