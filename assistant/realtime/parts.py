"""What the endpoint answers with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from lorgnette.assistant.trace import TurnTrace
from lorgnette.assistant.turn import Turns
from lorgnette.device.frame import Frame
from lorgnette.speech.end_of_turn import EndOfTurnModel
from lorgnette.speech.voice_activity import VoiceActivityDetector


def _nobody(trace: TurnTrace) -> None:
    pass


@dataclass(frozen=True, slots=True)
class RealtimeParts:
    """`turns` are those that hear and speak. `detector` makes a new one each time, for each session listens to its own
    sound. Without `end_of_turn` there is no semantic turn detection.

    `picture` is what a question is about where the client has shown none (None: it fails). `remember` exchanges are
    shown to the model with a question. `traced` hears of every turn. An engine gives one answer at a time: sessions
    that share `turns` share `answering`, and wait for each other.
    """

    turns: Turns
    detector: Callable[[], VoiceActivityDetector]
    end_of_turn: EndOfTurnModel | None = None
    picture: Callable[[], Frame] | None = None
    remember: int = 0
    language: str | None = None
    model: str = "lorgnette"
    voice: str = "lorgnette"
    traced: Callable[[TurnTrace], None] = _nobody
    answering: threading.Lock = field(default_factory=threading.Lock)
