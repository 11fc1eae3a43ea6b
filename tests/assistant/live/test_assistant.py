"""Whole turns in a room: the wearer speaks, the assistant hears, sees, thinks and is heard."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from live_box import (
    AGAIN,
    CAT,
    HUM,
    PHRASES,
    RED,
    STOP,
    WAKE,
    WHAT,
    Hummer,
    WakeTone,
    answer_to,
    conversation,
    eventually,
)

from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live.events import (
    AnswerBegan,
    AnswerText,
    ClauseReady,
    Looked,
    QuestionHeard,
    SpeakingBegan,
    SpeakingEnded,
    SpeakingPaused,
    SpeechBegan,
    SpeechEnded,
    State,
    StateChanged,
    TurnDone,
)
from lorgnette.assistant.live.words import (
    BATTERY_LOW,
    NOTHING_TO_REPEAT,
    TOO_HOT,
)
from lorgnette.assistant.trace import TraceLog
from lorgnette.llm.engine import Exchange

# A short patience, so that a turn without an end-of-turn model is over soon.
OPEN = LiveConfig(start="open", partials=False, unfinished_s=0.6)


def test_a_question_is_answered_and_so_is_the_next() -> None:
    with conversation(OPEN) as me:
        me.say(WHAT)
        first = me.watch.wait(TurnDone)
        me.say(CAT, delay_s=0.3)
        second = me.watch.wait(TurnDone, 2)
        assert me.assistant.history == (
            Exchange(PHRASES[WHAT], answer_to(WHAT)),
            Exchange(PHRASES[CAT], answer_to(CAT)),
        )
    assert [first.question, second.question] == [PHRASES[WHAT], PHRASES[CAT]]
    assert [event.reopened for event in me.watch.of(SpeechBegan)] == [False, False]
    assert "".join(event.text for event in me.watch.of(AnswerText) if event.turn == 1) == answer_to(WHAT)
    assert " ".join(event.text for event in me.watch.of(ClauseReady) if event.turn == 1) == answer_to(WHAT)
    assert me.watch.of(StateChanged)[-1].state is State.ASLEEP
    assert me.lamp.lit == set(), "nothing is captured any more"


def test_it_sees_while_the_wearer_speaks() -> None:
    with conversation(OPEN) as me:
        me.say(WHAT, 1.0)
        me.watch.wait(TurnDone)
    events = me.watch.events
    looked = next(number for number, event in enumerate(events) if isinstance(event, Looked))
    ended = next(number for number, event in enumerate(events) if isinstance(event, SpeechEnded))
    assert looked < ended
    began = me.watch.of(AnswerBegan)[-1]
    assert began.picture in [event.picture for event in me.watch.of(Looked)]


def test_what_is_played_is_heard_in_the_room() -> None:
    with conversation(replace(OPEN, volume=0.5), voice=Hummer) as me:
        me.say(WHAT)
        me.watch.wait(TurnDone)
        heard = me.room.heard().samples
    made_s = sum(event.duration_s for event in me.watch.of(ClauseReady) if event.turn == 1)
    loud = heard[heard > 0.2]
    assert len(loud) / 16_000 == pytest.approx(made_s, abs=0.05)
    assert float(np.median(loud)) == pytest.approx(0.5 * Hummer.LEVEL, abs=0.01)


def test_a_question_over_the_answer_interrupts_it() -> None:
    with conversation(OPEN) as me:
        me.say(WHAT)
        me.watch.wait(SpeakingBegan)
        me.say(RED, delay_s=1.2)
        second = me.watch.wait(TurnDone, 2)
        first, _ = me.assistant.history
    assert second.question == PHRASES[RED]
    assert me.watch.of(SpeakingPaused)[0].paused
    assert me.watch.of(SpeakingEnded)[0].interrupted
    assert answer_to(WHAT).startswith(first.answer) and first.answer != answer_to(WHAT)


def test_mm_hm_does_not_interrupt() -> None:
    with conversation(OPEN) as me:
        me.say(WHAT)
        me.watch.wait(SpeakingBegan)
        me.say(HUM, 0.4, delay_s=1.2)
        me.heard_to_the_end(answer_to(WHAT))
    assert "backchannel" in [event.kind for event in me.watch.of(QuestionHeard)]
    assert len(me.watch.of(TurnDone)) == 1


def test_stop_stops() -> None:
    with conversation(OPEN) as me:
        me.say(WHAT)
        me.watch.wait(SpeakingBegan)
        me.say(STOP, delay_s=1.2)
        ended = me.watch.wait(SpeakingEnded)
        eventually(lambda: me.assistant.state is State.IDLE)
    assert ended.interrupted
    assert len(me.watch.of(SpeakingBegan)) == 1


def test_the_button_and_the_tap() -> None:
    with conversation(LiveConfig(start="push", partials=False)) as me:
        me.assistant.press_button()
        assert me.assistant.state is State.LISTENING
        me.say(WHAT)
        me.watch.wait(SpeakingBegan)
        me.assistant.tap()
        assert me.watch.wait(SpeakingEnded).interrupted
        me.assistant.hold_button(True)
        me.say(RED)
        me.watch.wait(SpeechBegan, 2)
        me.room.sleep(0.7)
        me.assistant.hold_button(False)
        me.heard_to_the_end(answer_to(RED))


def test_the_wake_word() -> None:
    with conversation(replace(OPEN, start="wake"), wake_word=WakeTone()) as me:
        me.say(RED)
        me.room.sleep(1.5)
        assert me.watch.of(SpeechBegan) == []
        me.say(WAKE, 0.3)
        me.say(WHAT, delay_s=0.3)
        assert me.watch.wait(TurnDone).question == PHRASES[WHAT]


def test_asked_in_writing_and_repeated() -> None:
    with conversation(OPEN) as me:
        me.assistant.repeat()
        me.heard_to_the_end(NOTHING_TO_REPEAT)
        me.assistant.ask("  Hello?  ")
        me.heard_to_the_end("You asked: Hello? The picture is 64 x 48.")
        me.assistant.repeat()
        me.heard_to_the_end("You asked: Hello? The picture is 64 x 48.", 2)
        me.say(AGAIN)
        me.heard_to_the_end("You asked: Hello? The picture is 64 x 48.", 3)
        me.assistant.ask("   ")
        me.assistant.ask("Still there?")
        me.watch.wait(SpeakingBegan, where=lambda event: event.turn == me.watch.of(QuestionHeard)[-1].turn)
        me.assistant.stop()
        eventually(lambda: me.assistant.state is State.IDLE)
        assert [exchange.question for exchange in me.assistant.history] == ["Hello?", "Still there?"]


def test_folded_it_is_asleep_and_sees_and_hears_nothing() -> None:
    with conversation(OPEN) as me:
        me.say(WHAT)
        me.watch.wait(SpeakingBegan)
        me.assistant.fold(True)
        assert me.assistant.state is State.ASLEEP
        assert me.watch.of(SpeakingEnded)[0].interrupted
        assert "camera" not in me.lamp.lit
        eventually(lambda: not me.lamp.lit)
        taken = me.camera.taken
        me.say(RED)
        me.assistant.press_button()
        me.assistant.ask("Hello?")
        me.room.sleep(1.5)
        assert (me.assistant.state, me.camera.taken, me.lamp.lit) == (State.ASLEEP, taken, set())
        assert len(me.watch.of(SpeechBegan)) == 1
        me.assistant.fold(False)
        eventually(lambda: me.lamp.lit == {"microphone"})
        me.say(CAT)
        assert me.watch.wait(TurnDone, 2).question == PHRASES[CAT]


def test_taken_off_and_folded_it_wakes_only_when_neither() -> None:
    with conversation(OPEN) as me:
        me.assistant.wear(False)
        me.assistant.fold(True)
        me.assistant.wear(True)
        assert me.assistant.state is State.ASLEEP
        me.assistant.fold(False)
        assert me.assistant.state is State.IDLE
        assert [(e.state, e.reason) for e in me.watch.of(StateChanged)[1:]] == [
            (State.ASLEEP, "taken off"),
            (State.IDLE, "unfolded"),
        ]


def test_the_battery_is_said_once_and_empty_it_sleeps() -> None:
    with conversation(OPEN) as me:
        me.assistant.battery(0.5)
        me.assistant.battery(0.14)
        me.heard_to_the_end(BATTERY_LOW)
        me.assistant.battery(0.13)
        me.assistant.battery(0.04)
        assert me.assistant.state is State.ASLEEP
        me.assistant.battery(0.3)
        assert me.assistant.state is not State.ASLEEP
        me.assistant.battery(0.1)
        me.heard_to_the_end(BATTERY_LOW, 2)


def test_hot_it_does_not_look_ahead() -> None:
    with conversation(OPEN) as me:
        me.assistant.heat("warm")
        me.assistant.heat("hot")
        me.heard_to_the_end(TOO_HOT)
        me.assistant.heat("hot")
        looks = len(me.watch.of(Looked))
        me.say(WHAT)
        me.heard_to_the_end(answer_to(WHAT))
        assert len(me.watch.of(Looked)) == looks + 1
        assert [event.said for event in me.watch.of(SpeakingEnded)].count(TOO_HOT) == 1
        with pytest.raises(ValueError, match="boiling"):
            me.assistant.heat("boiling")
        me.assistant.heat("normal")
        me.say(RED, delay_s=0.3)
        me.heard_to_the_end(answer_to(RED))


def test_every_turn_leaves_a_trace(tmp_path: Path) -> None:
    with conversation(OPEN, traces=tmp_path) as me:
        me.say(WHAT)
        me.watch.wait(TurnDone)
        me.assistant.ask("Hello?")
        me.watch.wait(TurnDone, 2)
    kept = TraceLog(tmp_path).last(10)
    assert kept == [done.trace for done in me.watch.of(TurnDone)]
    assert [trace.spoken for trace in kept] == [True, False]
    assert PHRASES[WHAT] not in TraceLog(tmp_path).path.read_text()


def test_closing_in_the_middle_of_everything_ends_everything() -> None:
    for moment_s in (0.0, 0.3, 0.7, 1.2, 1.6):
        with conversation(OPEN) as me:
            me.say(WHAT)
            me.room.sleep(moment_s)
        assert me.lamp.lit == set()
        assert me.assistant.state is State.ASLEEP
        assert len(me.watch.of(SpeakingBegan)) == len(me.watch.of(SpeakingEnded))
        told = len(me.watch.events)
        time.sleep(0.05)
        assert len(me.watch.events) == told
