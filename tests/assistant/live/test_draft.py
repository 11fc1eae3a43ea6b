"""A draft's record: the times that it gathered on its way, and how it ended."""

from __future__ import annotations

import numpy as np

from lorgnette.assistant.live.draft import Draft
from lorgnette.assistant.live.mouth import Heard
from lorgnette.assistant.trace import TurnTrace
from lorgnette.device.frame import Frame
from lorgnette.device.sound import AudioChunk

SOUND = AudioChunk(np.zeros(16_000, np.float32), 16_000)
HEARD = Heard("A cat.", 70, 80, interrupted=False)


def spoken() -> Draft:
    draft = Draft(3, 2, SOUND, 20, speech_start_ns=10, wake_ns=5, soft_end_ns=30, last_partial_ns=15)
    draft.end_of_turn_ns = 40
    draft.transcribe_start_ns, draft.transcript_ns = 31, 35
    draft.picture = Frame(np.zeros((48, 64, 3), np.uint8), 12)
    draft.trace = TurnTrace("2026-01-01T00:00:00+00:00", "echo", "answered", False, 1, tokens=4, first_audio_at_ns=50)
    return draft


def test_the_record_has_every_time_of_the_turn() -> None:
    trace = spoken().record("never", HEARD)
    assert (trace.began, trace.engine, trace.outcome, trace.tokens) == (
        "2026-01-01T00:00:00+00:00",
        "echo",
        "answered",
        4,
    )
    assert trace.spoken
    marks = [
        trace.wake_at_ns,
        trace.speech_start_at_ns,
        trace.capture_at_ns,
        trace.last_partial_at_ns,
        trace.asked_at_ns,
    ]
    marks += [trace.soft_end_at_ns, trace.transcribe_start_at_ns, trace.transcript_at_ns, trace.end_of_turn_at_ns]
    marks += [trace.first_audio_at_ns, trace.played_at_ns, trace.playback_end_at_ns]
    assert marks == [5, 10, 12, 15, 20, 30, 31, 35, 40, 50, 70, 80]
    assert trace.revisions == 2


def test_a_question_in_writing_has_no_speech() -> None:
    trace = Draft(1, 1, "What is it?", 20, end_of_turn_ns=20).record("now", HEARD)
    assert not trace.spoken
    assert (trace.speech_start_at_ns, trace.soft_end_at_ns, trace.transcript_at_ns) == (None, None, None)


def test_a_picture_from_a_file_has_no_time() -> None:
    draft = spoken()
    draft.picture = Frame(np.zeros((48, 64, 3), np.uint8))
    assert draft.record("now", HEARD).capture_at_ns is None


def test_a_draft_that_never_came_to_an_answer() -> None:
    draft = Draft(1, 1, SOUND, 20)
    assert not draft.is_committed
    assert draft.record("now", None).outcome == "failed"
    draft.is_stale = True
    trace = draft.record("now", None)
    assert (trace.began, trace.outcome, trace.played_at_ns, trace.playback_end_at_ns) == (
        "now",
        "cancelled",
        None,
        None,
    )


def test_two_drafts_are_never_the_same() -> None:
    assert spoken() != spoken()
    assert spoken().answer is not spoken().answer
