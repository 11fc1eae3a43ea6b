"""What begins and ends a question but speech: buttons, the wake word, writing; and being asleep."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from live_box import (
    CAT,
    PHRASES,
    RED,
    WAKE,
    WHAT,
    answer_to,
    eventually,
    silence,
)
from talk_box import OPEN, PUSH, WOKEN, talk

from lorgnette.assistant.live.events import (
    QuestionHeard,
    SpeakingBegan,
    SpeakingEnded,
    SpeechBegan,
    SpeechEnded,
    SpeechPaused,
    State,
    StateChanged,
    TurnDone,
)
from lorgnette.speech.transcriber import Transcript


def test_without_a_button_nobody_listens_in_push_mode() -> None:
    with talk(PUSH) as me:
        me.say(WHAT)
        me.pause(1.0)
        assert me.watch.of(SpeechBegan) == []
        me.dialogue.press()
        assert me.state is State.LISTENING
        me.ask(WHAT, 1)
        me.wait_for_end(1)


def test_a_press_that_is_followed_by_silence_is_forgotten() -> None:
    with talk(PUSH) as me:
        me.dialogue.press()
        me.pause(PUSH.patience_s - 0.1)
        assert me.state is State.LISTENING
        me.pause(0.2)
        assert me.state is State.IDLE
        assert me.watch.of(StateChanged)[-1].reason == "nobody spoke"
        me.say(WHAT)
        assert me.watch.of(SpeechBegan) == []


def test_a_follow_up_needs_no_button_for_a_while() -> None:
    with talk(PUSH) as me:
        me.dialogue.press()
        me.ask(WHAT, 1)
        me.wait_for_end(1)
        eventually(lambda: me.state is State.LISTENING)
        me.pause(PUSH.follow_up_s - 0.5)
        me.ask(CAT, 2)
        me.wait_for_end(2)
        eventually(lambda: me.state is State.LISTENING)
        me.pause(PUSH.follow_up_s + 0.1)
        assert me.state is State.IDLE
        me.say(WHAT)
        me.pause(1.0)
        assert {event.turn for event in me.watch.of(SpeechBegan)} == {1, 2}


def test_the_button_stops_an_answer() -> None:
    with talk(PUSH) as me:
        me.dialogue.press()
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 0.3)
        me.dialogue.press()
        assert me.wait_for_end(1).interrupted
        assert me.state is State.IDLE
        assert not me.mouth.is_busy


def test_the_button_ends_a_question_in_its_pause() -> None:
    with talk(PUSH) as me:
        me.dialogue.press()
        me.say(WHAT)
        me.pause(0.2)
        me.dialogue.press()
        assert me.watch.of(SpeechEnded) == [SpeechEnded(1, 1)]
        assert me.wait_for_end(1).said == answer_to(WHAT)


@pytest.mark.parametrize("how", ["press", "hold"])
def test_the_button_ends_a_question_though_its_last_sound_is_still_heard(how: str) -> None:
    with talk(PUSH) as me:
        if how == "press":
            me.dialogue.press()
            me.say(WHAT)
            me.dialogue.press()
        else:
            me.dialogue.hold(True)
            me.say(WHAT)
            me.dialogue.hold(False)
        me.say(WHAT, 0.16)
        assert [event.reopened for event in me.watch.of(SpeechBegan)] == [False]


def test_push_to_talk_lasts_as_long_as_the_button_is_held() -> None:
    with talk(PUSH) as me:
        me.dialogue.hold(True)
        assert me.state is State.LISTENING
        me.pause(PUSH.patience_s + 1.0)
        assert me.state is State.LISTENING, "as long as it is held"
        me.say(WHAT)
        me.dialogue.hold(False)
        assert me.watch.of(SpeechEnded) == [SpeechEnded(1, 1)]
        assert me.wait_for_end(1).said == answer_to(WHAT)


def test_push_to_talk_without_a_word_is_nothing() -> None:
    with talk(PUSH) as me:
        me.dialogue.hold(True)
        me.pause(1.0)
        me.dialogue.hold(False)
        assert me.state is State.IDLE
        assert me.watch.of(SpeechBegan) == []


def test_holding_the_button_stops_an_answer() -> None:
    with talk(PUSH) as me:
        me.dialogue.press()
        me.ask(WHAT, 1)
        me.dialogue.hold(True)
        assert me.wait_for_end(1).interrupted
        assert me.state is State.LISTENING
        me.say(RED)
        me.dialogue.hold(False)
        assert me.wait_for_end(2).said == answer_to(RED)


def test_the_wake_word_and_the_question_in_one_breath() -> None:
    with talk(WOKEN) as me:
        me.say(RED)
        me.pause(1.0)
        assert me.watch.of(SpeechBegan) == []
        me.say(WAKE, 0.3)
        assert me.watch.of(StateChanged)[-1].state is State.LISTENING
        me.ask(WHAT, 1)
        done = me.watch.wait(TurnDone)
    assert done.question == PHRASES[WHAT]
    assert done.trace.wake_at_ns is not None
    assert {event.reason for event in me.watch.of(StateChanged)} >= {"wake word"}


def test_after_the_wake_word_alone_the_question_may_come_later() -> None:
    with talk(WOKEN) as me:
        me.say(WAKE, 0.3)
        me.pause(1.0)
        assert me.watch.wait(QuestionHeard).kind == "backchannel"
        eventually(lambda: me.state is State.LISTENING)
        me.pause(2.0)
        assert me.state is State.LISTENING
        me.say(WHAT)
        me.pause(1.0)
        assert me.watch.wait(TurnDone).question == PHRASES[WHAT]


def test_who_asks_before_the_wake_word_alone_is_understood_is_heard_from_the_first_word() -> None:
    with talk(WOKEN) as me:
        understand, may_understand = me.transcriber.transcribe, threading.Event()

        def slowly(*args: Any) -> Transcript:
            assert may_understand.wait(10)
            return understand(*args)

        me.transcriber.transcribe = slowly  # type: ignore[method-assign]
        me.say(WAKE, 0.3)
        me.bring(silence(OPEN.unfinished_s + 1.0))
        me.say(WHAT)
        may_understand.set()
        assert me.watch.wait(QuestionHeard).text == ""
        me.say(RED)
        me.pause(1.0)
        assert me.watch.wait(TurnDone).question == f"{PHRASES[WHAT]} {PHRASES[RED]}"


def test_after_an_answer_to_a_woken_question_the_wake_word_is_not_needed_and_not_missed() -> None:
    with talk(WOKEN) as me:
        me.say(WAKE, 0.3)
        me.ask(WHAT, 1)
        me.wait_for_end(1)
        eventually(lambda: me.state is State.LISTENING)
        me.say(CAT)
        me.pause(1.0)
        second = me.watch.wait(TurnDone, 2)
    assert second.question == PHRASES[CAT]
    assert second.trace.wake_at_ns is None


def test_asleep_nothing_is_heard() -> None:
    with talk(OPEN) as me:
        me.dialogue.wake(False, "folded")
        assert me.state is State.ASLEEP
        me.say(WHAT)
        me.pause(1.0)
        me.dialogue.press()
        me.dialogue.hold(True)
        assert me.watch.of(SpeechBegan) == []
        assert me.state is State.ASLEEP
        me.dialogue.wake(True, "unfolded")
        assert me.state is State.IDLE
        me.ask(WHAT, 1)
        me.wait_for_end(1)


def test_falling_asleep_ends_an_answer_and_a_question() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        me.dialogue.wake(False, "folded")
        assert me.wait_for_end(1).interrupted
        me.dialogue.wake(True, "unfolded")
        me.say(RED)
        me.pause(0.2)
        me.dialogue.wake(False, "folded")
        me.room.sleep(1.0)
        assert len(me.watch.of(SpeakingBegan)) == 1
        assert me.state is State.ASLEEP


def test_a_question_in_writing() -> None:
    with talk(PUSH) as me:
        me.dialogue.ask("Hello?")
        done = me.watch.wait(TurnDone)
    assert (done.question, done.trace.spoken) == ("Hello?", False)
    assert done.answer == "You asked: Hello? The picture is 64 x 48."


def test_a_question_in_writing_takes_the_place_of_an_answer() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        me.dialogue.ask("Hello?")
        assert me.wait_for_end(1).interrupted
        assert me.wait_for_end(2).said == "You asked: Hello? The picture is 64 x 48."


def test_a_question_in_writing_while_somebody_speaks_is_a_turn_of_its_own() -> None:
    with talk(OPEN) as me:
        me.say(RED)
        me.dialogue.ask("Hello?")
        me.say(WHAT)
        me.pause(1.0)
        eventually(lambda: me.state is State.LISTENING)
    by_turn = {event.turn: event.text for event in me.watch.of(QuestionHeard)}
    assert by_turn[2] == "Hello?"
    spoken = [event.turn for event in me.watch.events if isinstance(event, SpeechBegan | SpeechPaused | SpeechEnded)]
    assert 2 not in spoken


def test_an_announcement_is_made_unless_somebody_speaks() -> None:
    with talk(OPEN) as me:
        me.dialogue.announce("The battery is low.")
        assert me.watch.wait(SpeakingEnded).said == "The battery is low."
        assert me.dialogue.history.exchanges == ()
        me.say(WHAT)
        me.dialogue.announce("It is hot.")
        me.pause(1.0)
        me.watch.wait(TurnDone, where=lambda done: done.question == PHRASES[WHAT])
        me.dialogue.announce("It is hot.")
    assert [event.said for event in me.watch.of(SpeakingEnded) if not event.interrupted] == [
        "The battery is low.",
        answer_to(WHAT),
    ]
