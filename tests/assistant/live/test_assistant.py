"""Whole turns in a room: the wearer speaks, the assistant hears, sees, thinks and is heard, whatever breaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
    Conversation,
    Hummer,
    WakeTone,
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
    Trouble,
    TurnDone,
)
from lorgnette.assistant.live.words import (
    BATTERY_LOW,
    EYES_SHUT,
    NO_CAMERA,
    NO_MICROPHONE,
    NOTHING_TO_REPEAT,
    TOO_HOT,
    WENT_WRONG,
)
from lorgnette.assistant.simulator.faults import Faults
from lorgnette.assistant.trace import TraceLog
from lorgnette.device.errors import DeviceError, InputError
from lorgnette.device.frame import Frame
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.llm.engine import Exchange, Look, Prompt, Token

# A short patience, so that a turn without an end-of-turn model is over soon.
OPEN = LiveConfig(start="open", partials=False, unfinished_s=0.6)


def answer_to(hertz: int) -> str:
    return f"You asked: {PHRASES[hertz]} The picture is 64 x 48."


def heard_to_the_end(me: Conversation, text: str, count: int = 1) -> SpeakingEnded:
    return me.watch.wait(SpeakingEnded, count, lambda event: event.said == text and not event.interrupted)


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
    assert [e.text for e in me.watch.of(ClauseReady) if e.turn == 1] == [
        "You asked: What is this?",
        "The picture is 64 x 48.",
    ]
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
        heard_to_the_end(me, answer_to(WHAT))
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
        heard_to_the_end(me, answer_to(RED))


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
        heard_to_the_end(me, NOTHING_TO_REPEAT)
        me.assistant.ask("  Hello?  ")
        heard_to_the_end(me, "You asked: Hello? The picture is 64 x 48.")
        me.assistant.repeat()
        heard_to_the_end(me, "You asked: Hello? The picture is 64 x 48.", 2)
        me.say(AGAIN)
        heard_to_the_end(me, "You asked: Hello? The picture is 64 x 48.", 3)
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
        heard_to_the_end(me, BATTERY_LOW)
        me.assistant.battery(0.13)
        me.assistant.battery(0.04)
        assert me.assistant.state is State.ASLEEP
        me.assistant.battery(0.3)
        assert me.assistant.state is not State.ASLEEP
        me.assistant.battery(0.1)
        heard_to_the_end(me, BATTERY_LOW, 2)


def test_hot_it_does_not_look_ahead() -> None:
    with conversation(OPEN) as me:
        me.assistant.heat("warm")
        me.assistant.heat("hot")
        heard_to_the_end(me, TOO_HOT)
        me.assistant.heat("hot")
        looks = len(me.watch.of(Looked))
        me.say(WHAT)
        heard_to_the_end(me, answer_to(WHAT))
        assert len(me.watch.of(Looked)) == looks + 1
        assert [event.said for event in me.watch.of(SpeakingEnded)].count(TOO_HOT) == 1
        with pytest.raises(ValueError, match="boiling"):
            me.assistant.heat("boiling")
        me.assistant.heat("normal")
        me.say(RED, delay_s=0.3)
        heard_to_the_end(me, answer_to(RED))


def test_a_microphone_that_is_pulled_out_is_said_and_heard_again() -> None:
    with conversation(OPEN) as me:
        me.room.unplug_microphone()
        trouble = me.watch.wait(Trouble)
        assert (trouble.part, trouble.over) == ("microphone", False)
        assert trouble.hint
        heard_to_the_end(me, NO_MICROPHONE)
        eventually(lambda: me.assistant.state is State.DEGRADED)
        assert "microphone" not in me.lamp.lit
        me.assistant.ask("Hello?")
        heard_to_the_end(me, "You asked: Hello? The picture is 64 x 48.")
        me.room.plug_microphone()
        me.watch.wait(Trouble, where=lambda event: event.part == "microphone" and event.over)
        me.say(WHAT, delay_s=0.2)
        heard_to_the_end(me, answer_to(WHAT))
        assert me.assistant.state is not State.DEGRADED
    assert [event.over for event in me.watch.of(Trouble)] == [False, True], "it is said once"


def test_a_microphone_that_is_lost_in_the_middle_of_a_question() -> None:
    with conversation(OPEN) as me:
        me.say(WHAT, 1.0)
        me.watch.wait(SpeechBegan)
        me.switches.now = Faults(microphone_lost=True)
        heard_to_the_end(me, NO_MICROPHONE)
        me.switches.now = Faults()
        me.watch.wait(Trouble, where=lambda event: event.over)
        me.say(CAT, delay_s=0.2)
        assert me.watch.wait(TurnDone, where=lambda done: bool(done.question)).question == PHRASES[CAT]


def test_a_camera_that_fails_is_a_spoken_reason() -> None:
    with conversation(OPEN) as me:
        me.switches.now = Faults(camera_lost=True)
        me.say(WHAT)
        heard_to_the_end(me, NO_CAMERA)
        assert {event.part for event in me.watch.of(Trouble)} == {"camera"}
        done = me.watch.wait(TurnDone)
        assert (done.question, done.trace.outcome, done.trace.capture_at_ns) == (PHRASES[WHAT], "failed", None)
        me.switches.now = Faults()
        me.say(RED, delay_s=0.5)
        heard_to_the_end(me, answer_to(RED))
        eventually(lambda: me.assistant.state is not State.DEGRADED)
    assert [event.over for event in me.watch.of(Trouble) if event.part == "camera"][-1]


def test_a_camera_whose_pictures_are_old_is_no_camera() -> None:
    with conversation(OPEN) as me:
        me.camera.late_s = 5.0
        me.assistant.ask("Hello?")
        heard_to_the_end(me, NO_CAMERA)


def test_a_transcriber_that_fails_is_said_and_the_next_question_is_answered() -> None:
    with conversation(OPEN) as me:
        me.transcriber.broken = True
        me.say(WHAT)
        heard_to_the_end(me, WENT_WRONG)
        me.transcriber.broken = False
        me.say(RED, delay_s=0.2)
        heard_to_the_end(me, answer_to(RED))
        assert me.assistant.history == (Exchange(PHRASES[RED], answer_to(RED)),)
    assert [(event.part, event.over) for event in me.watch.of(Trouble)] == [("hear", False), ("hear", True)]


class Stumbler(EchoEngine):
    """Fails on a question about red, before it says anything."""

    error: Exception = DeviceError("out of memory", "close something")

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        if "red" in prompt.question:
            raise self.error
        return super().stream(prompt, cancel)


class Crasher(Stumbler):
    error = ZeroDivisionError("not one of ours")


class HalfWay(EchoEngine):
    """Fails in the middle of an answer about red."""

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        for token in super().stream(prompt, cancel):
            if "red" in prompt.question and token.id == 6:
                raise DeviceError("out of memory", "close something")
            yield token


class ShortSighted(EchoEngine):
    """Cannot look at anything."""

    def look(self, picture: Frame) -> Look:
        raise InputError("the picture is too dark", "turn on a light")


@pytest.mark.parametrize("engine", [Stumbler, Crasher, HalfWay])
def test_an_engine_that_fails_is_said_and_the_next_question_is_answered(engine: type[EchoEngine]) -> None:
    with conversation(OPEN, engine) as me:
        me.say(RED)
        ended = me.watch.wait(SpeakingEnded)
        me.say(WHAT, delay_s=0.2)
        heard_to_the_end(me, answer_to(WHAT))
    assert ended.said.endswith(WENT_WRONG)
    assert ("think", False) in [(event.part, event.over) for event in me.watch.of(Trouble)]
    assert [done.trace.outcome for done in me.watch.of(TurnDone)][-1] == "answered"


def test_an_engine_that_cannot_look_is_said() -> None:
    with conversation(OPEN, ShortSighted) as me:
        me.say(WHAT)
        assert me.watch.wait(SpeakingEnded).said in {WENT_WRONG, NO_CAMERA}
        me.assistant.ask("Hello?")
        assert me.watch.wait(SpeakingEnded, 2).said in {WENT_WRONG, NO_CAMERA}


class Silent(EchoEngine):
    """Has nothing to say."""

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        return iter(())


def test_an_engine_with_no_answer_says_that() -> None:
    with conversation(OPEN, Silent) as me:
        me.say(WHAT)
        assert me.watch.wait(TurnDone).answer == "I can't tell."


def test_a_speaker_that_fails_comes_back() -> None:
    with conversation(OPEN) as me:
        me.say(WHAT)
        me.watch.wait(SpeakingBegan)
        me.speaker.broken = True
        trouble = me.watch.wait(Trouble)
        assert (trouble.part, trouble.over) == ("speaker", False)
        assert me.watch.wait(SpeakingEnded).interrupted
        me.speaker.broken = False
        me.say(RED)
        heard_to_the_end(me, answer_to(RED))
        assert me.watch.wait(Trouble, where=lambda event: event.over).part == "speaker"
        assert me.assistant.state is not State.DEGRADED
    assert len([event for event in me.watch.of(Trouble) if not event.over]) == 1


def test_asleep_with_eyes_shut_is_no_trouble() -> None:
    with conversation(OPEN) as me:
        for _ in range(5):
            me.say(WHAT, 0.3)
            me.room.sleep(0.2)
            me.assistant.fold(True)
            me.assistant.fold(False)
        me.room.sleep(0.5)
        assert me.watch.of(Trouble) == []
    assert EYES_SHUT not in [event.said for event in me.watch.of(SpeakingEnded)]


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


def test_traces_that_cannot_be_written_are_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with conversation(OPEN, traces=tmp_path / "file") as me:
        for number in range(2):
            me.assistant.ask("Hello?")
            me.watch.wait(TurnDone, number + 1)
    assert [event.part for event in me.watch.of(Trouble)] == ["traces"]


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
