"""Who has the floor: turns that pause, go on and end, and speech over an answer."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from live_box import (
    AGAIN,
    HUM,
    OPENING,
    PHRASES,
    RED,
    STOP,
    WHAT,
    answer_to,
    eventually,
    tone,
)
from talk_box import OPEN, talk

from lorgnette.assistant.live.draft import Draft
from lorgnette.assistant.live.events import (
    PartialHeard,
    QuestionHeard,
    SpeakingBegan,
    SpeakingDucked,
    SpeakingEnded,
    SpeakingPaused,
    SpeechBegan,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
    State,
    StateChanged,
    TurnDone,
)
from lorgnette.assistant.live.words import NOTHING_TO_REPEAT, WENT_WRONG
from lorgnette.llm.engine import Exchange


def test_a_question_and_its_answer_in_order() -> None:
    with talk(OPEN) as me:
        assert me.state is State.IDLE
        me.ask(WHAT, 1)
        assert me.state is State.SPEAKING
        done = me.watch.wait(TurnDone)
        assert me.wait_for_end(1) == SpeakingEnded(1, answer_to(WHAT), interrupted=False)
        eventually(lambda: me.state is State.LISTENING)
    assert (done.turn, done.question, done.answer) == (1, PHRASES[WHAT], answer_to(WHAT))
    kinds = [type(event) for event in me.watch.events]
    order = [SpeechBegan, SpeechPaused, SpeechEnded, SpeakingBegan, SpeakingEnded, TurnDone]
    places = [kinds.index(kind) for kind in order]
    assert places == sorted(places)
    assert kinds.index(SpeechPaused) < kinds.index(QuestionHeard) < kinds.index(SpeakingBegan)
    states = [event.state for event in me.watch.of(StateChanged)]
    assert states == [State.IDLE, State.LISTENING, State.THINKING, State.SPEAKING, State.LISTENING, State.ASLEEP]
    assert me.dialogue.history.exchanges == (Exchange(PHRASES[WHAT], answer_to(WHAT)),)


def test_the_trace_of_a_turn_is_in_order() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        trace = me.watch.wait(TurnDone).trace
    assert me.traces == [trace]
    assert (trace.outcome, trace.engine, trace.spoken, trace.revisions) == ("answered", "echo", True, 1)
    for earlier, later in (
        (trace.speech_start_at_ns, trace.asked_at_ns),
        (trace.asked_at_ns, trace.soft_end_at_ns),
        (trace.soft_end_at_ns, trace.end_of_turn_at_ns),
        (trace.soft_end_at_ns, trace.transcribe_start_at_ns),
        (trace.transcribe_start_at_ns, trace.transcript_at_ns),
        (trace.transcript_at_ns, trace.first_audio_at_ns),
        (trace.first_audio_at_ns, trace.played_at_ns),
        (trace.end_of_turn_at_ns, trace.played_at_ns),
        (trace.played_at_ns, trace.playback_end_at_ns),
    ):
        assert earlier is not None and later is not None
        assert earlier <= later + 40_000_000, "this test's chunks are stamped when they are brought"
    assert trace.capture_at_ns is not None


def test_the_answer_waits_for_the_end_of_the_turn() -> None:
    with talk(OPEN) as me:
        me.say(WHAT)
        me.pause(0.3)
        assert me.wait_until_understood(1).text == PHRASES[WHAT]
        me.room.sleep(0.3)
        assert not me.watch.of(SpeakingBegan) and not me.room.heard().samples.any()
        me.pause(1.0)
        me.wait_for_end(1)


def test_who_goes_on_is_answered_as_a_whole() -> None:
    with talk(OPEN) as me:
        me.say(WHAT)
        me.pause(0.3)
        me.wait_until_understood(1)
        me.say(RED)
        me.pause(1.0)
        me.watch.wait(TurnDone)
    assert me.watch.of(SpeechResumed) == [SpeechResumed(1, 1)]
    assert [done.question for done in me.watch.of(TurnDone)] == [f"{PHRASES[WHAT]} {PHRASES[RED]}"]
    assert me.watch.of(TurnDone)[0].trace.revisions == 2
    assert len(me.watch.of(SpeakingBegan)) == 1


def test_words_that_ask_for_more_are_waited_for_longer() -> None:
    with talk(OPEN) as me:
        me.say(OPENING)
        me.pause(OPEN.whole_s + 0.4)
        assert not me.watch.of(SpeakingBegan)
        me.say(RED)
        me.pause(1.0)
        me.wait_for_end(1)
    assert [done.question for done in me.watch.of(TurnDone)] == [f"{PHRASES[OPENING]} {PHRASES[RED]}"]
    assert len(me.watch.of(SpeakingBegan)) == 1


def test_words_that_ask_for_more_are_answered_when_nothing_comes() -> None:
    with talk(OPEN) as me:
        me.say(OPENING)
        me.pause(OPEN.unfinished_s + 0.2)
        me.wait_for_end(1)
    assert [done.question for done in me.watch.of(TurnDone)] == [PHRASES[OPENING]]


def test_who_goes_on_when_the_answer_has_just_begun_takes_the_turn_back() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        me.say(RED)
        assert SpeechBegan(1, reopened=True) in me.watch.of(SpeechBegan)
        me.pause(1.0)
        me.watch.wait(TurnDone, where=lambda done: PHRASES[RED] in done.question)
        eventually(lambda: me.state is State.LISTENING)
    assert me.dialogue.history.exchanges[-1] == Exchange(
        f"{PHRASES[WHAT]} {PHRASES[RED]}", f"You asked: {PHRASES[WHAT]} {PHRASES[RED]} The picture is 64 x 48."
    )
    assert len(me.watch.of(SpeakingEnded)) == len(me.watch.of(SpeakingBegan)) == 2


def test_an_answer_that_was_taken_back_never_happened() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        me.say(RED)
        me.pause(1.0)
        me.watch.wait(TurnDone, where=lambda done: PHRASES[RED] in done.question)
    assert [exchange.question for exchange in me.dialogue.history.exchanges] == [f"{PHRASES[WHAT]} {PHRASES[RED]}"]


def test_mm_hm_over_an_answer_makes_it_quieter_and_wait_for_its_words_and_it_goes_on() -> None:
    with talk(replace(OPEN, interrupt_s=1.0)) as me:
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 1.0)
        me.say(HUM, 0.3)
        assert me.watch.of(SpeakingDucked)[-1].ducked
        me.pause(1.0)
        assert me.watch.wait(QuestionHeard, where=lambda event: event.kind == "backchannel").text == PHRASES[HUM]
        assert me.wait_for_end(1).said == answer_to(WHAT)
    assert [event.ducked for event in me.watch.of(SpeakingDucked)] == [True, False]
    assert [event.paused for event in me.watch.of(SpeakingPaused)] == [True, False]
    assert [done.question for done in me.watch.of(TurnDone)] == [PHRASES[WHAT]]


def test_a_long_mm_hm_holds_the_answer_and_it_goes_on() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 1.0)
        me.say(HUM, 0.5)
        assert me.mouth.is_held
        me.pause(1.0)
        ended = me.wait_for_end(1)
    assert (ended.said, ended.interrupted) == (answer_to(WHAT), False)
    assert [event.paused for event in me.watch.of(SpeakingPaused)] == [True, False]
    assert [event.ducked for event in me.watch.of(SpeakingDucked)] == [True, False]


def test_what_may_be_the_beginning_of_speech_makes_an_answer_quieter_and_no_turn() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 1.0)
        me.bring(tone(WHAT, 0.064, 0.01))
        assert me.watch.of(SpeakingDucked)[-1].ducked
        me.pause(0.1)
        me.wait_for_end(1)
    assert [event.ducked for event in me.watch.of(SpeakingDucked)] == [True, False]
    assert [event.turn for event in me.watch.of(SpeechBegan)] == [1]


def test_a_click_over_an_answer_does_not_silence_it() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 1.0)
        me.say(RED, 0.064)
        me.pause(0.5)
        ended = me.wait_for_end(1)
    assert (ended.said, ended.interrupted) == (answer_to(WHAT), False)
    assert [event.ducked for event in me.watch.of(SpeakingDucked)] == [True, False]


def test_a_question_over_an_answer_takes_its_place() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 1.0)
        me.say(RED)
        me.pause(1.0)
        first, second = me.wait_for_end(1), me.wait_for_end(2)
    assert first.interrupted and not second.interrupted
    words = first.said.split()
    assert 0 < len(words) < len(answer_to(WHAT).split())
    assert answer_to(WHAT).startswith(first.said)
    both = (Exchange(PHRASES[WHAT], first.said), Exchange(PHRASES[RED], answer_to(RED)))
    assert me.dialogue.history.exchanges == both


def test_stop_over_an_answer_stops_it() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 1.0)
        me.say(STOP)
        me.pause(1.0)
        assert me.wait_for_end(1).interrupted
        eventually(lambda: me.state is State.IDLE)
        assert not me.mouth.is_busy
    assert len(me.watch.of(TurnDone)) == 1


def test_say_that_again() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        me.wait_for_end(1)
        me.ask(AGAIN, 2)
        assert me.wait_for_end(2).said == answer_to(WHAT)
    assert [exchange.question for exchange in me.dialogue.history.exchanges] == [PHRASES[WHAT]]


def test_there_is_nothing_to_say_again() -> None:
    with talk(OPEN) as me:
        me.ask(AGAIN, 1)
        assert me.wait_for_end(1).said == NOTHING_TO_REPEAT
        assert me.dialogue.history.exchanges == ()


def test_a_cough_gets_no_answer() -> None:
    with talk(OPEN) as me:
        me.say(HUM)
        me.pause(1.0)
        assert me.watch.wait(QuestionHeard).kind == "backchannel"
        eventually(lambda: me.state is State.IDLE)
        me.room.sleep(0.5)
        assert not me.watch.of(SpeakingBegan) and not me.watch.of(TurnDone)


def test_whoever_fails_on_a_question_says_so() -> None:
    with talk(OPEN) as me:
        me.dialogue.fail(None)
        now_ns = time.monotonic_ns()
        me.dialogue.fail(Draft(1, 1, tone(WHAT, 0.5), now_ns, end_of_turn_ns=now_ns))
        assert me.watch.wait(SpeakingEnded).said == WENT_WRONG
        assert me.dialogue.history.exchanges == ()


def test_whoever_fails_on_a_question_that_went_on_says_nothing() -> None:
    with talk(OPEN) as me:
        now_ns = time.monotonic_ns()
        me.dialogue.fail(Draft(1, 1, tone(WHAT, 0.5), now_ns, end_of_turn_ns=now_ns, is_stale=True))
        me.room.sleep(1.0)
        assert me.watch.of(SpeakingBegan) == []
        assert me.state is State.IDLE


def test_trouble_is_a_state_while_nothing_else_happens() -> None:
    with talk(OPEN) as me:
        me.dialogue.trouble("camera", over=False)
        assert me.state is State.DEGRADED
        me.dialogue.trouble("microphone", over=False)
        me.dialogue.trouble("camera", over=True)
        assert me.state is State.DEGRADED
        me.dialogue.trouble("microphone", over=True)
        assert me.state is State.IDLE


def test_partials_while_somebody_still_speaks() -> None:
    with talk(replace(OPEN, partials=True, partial_s=0.4)) as me:
        me.say(WHAT, 0.5)
        assert me.watch.wait(PartialHeard).turn == 1
        me.say(RED, 0.5)
        last = me.watch.wait(PartialHeard, 2)
        assert f"{last.stable} {last.tentative}".split() == f"{PHRASES[WHAT]} {PHRASES[RED]}".split()
        me.pause(1.0)
        trace = me.watch.wait(TurnDone).trace
    assert trace.last_partial_at_ns is not None


@pytest.mark.parametrize("count", [0, 1, 5])
def test_as_much_is_remembered_as_is_wanted(count: int) -> None:
    with talk(replace(OPEN, remember=count)) as me:
        for number in range(3):
            me.dialogue.ask(f"{number}?")
            me.watch.wait(TurnDone, number + 1)
        asked = [exchange.question for exchange in me.dialogue.history.shown()]
        assert asked == ["0?", "1?", "2?"][3 - min(count, 3) :]
        assert len(me.dialogue.history.exchanges) == 3
