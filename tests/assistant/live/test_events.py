"""Every event as it travels: plain, small, with a name of its own and no picture."""

from __future__ import annotations

import json
import typing

import numpy as np

from lorgnette.assistant.live.events import (
    AnswerBegan,
    AnswerText,
    CaptureChanged,
    ClauseReady,
    LiveEvent,
    Looked,
    PartialHeard,
    QuestionHeard,
    SpeakingBegan,
    SpeakingDucked,
    SpeakingEnded,
    SpeakingPaused,
    SpeechBegan,
    SpeechEnded,
    SpeechJudged,
    SpeechPaused,
    SpeechResumed,
    State,
    StateChanged,
    Trouble,
    TurnDone,
    as_message,
    event_name,
)
from lorgnette.assistant.trace import TurnTrace
from lorgnette.device.frame import Frame

FRAME = Frame(np.zeros((48, 64, 3), np.uint8), 5)
TRACE = TurnTrace("2026-01-01T00:00:00+00:00", "echo", "answered", True, 1, revisions=2)
EVENTS: list[LiveEvent] = [
    StateChanged(State.LISTENING, "wake word"),
    SpeechBegan(1),
    SpeechPaused(1, 1),
    SpeechJudged(1, 1, 0.25),
    SpeechResumed(1, 1),
    SpeechEnded(1, 2),
    PartialHeard(1, "what", "is"),
    QuestionHeard(1, 2, "What is it?", "question"),
    Looked(FRAME, 12.5, False),
    AnswerBegan(1, 2, FRAME, 0.1),
    AnswerText(1, 2, " cat"),
    ClauseReady(1, 2, "A cat.", 0.4),
    SpeakingBegan(1),
    SpeakingDucked(1, True),
    SpeakingPaused(1, True),
    SpeakingEnded(1, "A", True),
    TurnDone(1, "What is it?", "A", TRACE),
    CaptureChanged("camera", True),
    Trouble("camera", "gone", "plug it in"),
]


def test_all_kinds_are_here() -> None:
    assert {type(event) for event in EVENTS} == set(typing.get_args(LiveEvent))
    assert len({event_name(event) for event in EVENTS}) == len(EVENTS)


def test_names_on_the_wire() -> None:
    assert event_name(SpeechBegan(1)) == "speech_began"
    assert event_name(TurnDone(1, "", "", TRACE)) == "turn_done"
    assert event_name(Looked(FRAME, 0, True)) == "looked"


def test_every_event_travels_as_json_with_all_its_fields() -> None:
    for event in EVENTS:
        message = as_message(event)
        assert message["type"] == event_name(event)
        assert set(message) == {"type", *type(event).__dataclass_fields__}
        assert json.loads(json.dumps(message)) == message
        assert len(json.dumps(message)) < 2000


def test_a_picture_is_told_by_size_and_time() -> None:
    assert as_message(Looked(FRAME, 1.0, True))["picture"] == {"width": 64, "height": 48, "timestamp_ns": 5}
    assert as_message(AnswerBegan(1, 1, None, None))["picture"] is None


def test_a_trace_travels_field_by_field() -> None:
    assert as_message(EVENTS[16])["trace"]["revisions"] == 2
    assert TurnTrace(**as_message(EVENTS[16])["trace"]) == TRACE


def test_a_state_is_its_word() -> None:
    assert as_message(StateChanged(State.ASLEEP, "folded")) == {
        "type": "state_changed",
        "state": "asleep",
        "reason": "folded",
    }
