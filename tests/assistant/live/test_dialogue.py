"""Who has the floor. Sound is brought a chunk at a time, so that all times of turn-taking are those of the sound."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest
from lamp import Lamp
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
    LoudnessDetector,
    StillCamera,
    ToneTranscriber,
    WakeTone,
    Watch,
    eventually,
    tone,
)

from lorgnette.assistant.background import Pending
from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live.dialogue import Dialogue
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
from lorgnette.assistant.live.eyes import Eyes
from lorgnette.assistant.live.hearing import Hearing
from lorgnette.assistant.live.mouth import Mouth
from lorgnette.assistant.live.thinking import Thinking
from lorgnette.assistant.live.words import NOTHING_TO_REPEAT, WENT_WRONG
from lorgnette.assistant.trace import TurnTrace
from lorgnette.assistant.turn import Turns
from lorgnette.device.capture import CaptureGate
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.llm.engine import Exchange
from lorgnette.speech.echo_canceller import Headset
from lorgnette.speech.turn_taking import TurnTaker
from lorgnette.speech.voice_activity import FRAME_S, FRAME_SAMPLES

OPEN = LiveConfig(start="open", partials=False)
PUSH = LiveConfig(start="push", partials=False)
WOKEN = LiveConfig(start="wake", partials=False)


class Talk:
    """A dialogue with all that does the work, and an ear into which this test speaks."""

    def __init__(self, settings: LiveConfig) -> None:
        self.lamp = Lamp()
        gate = CaptureGate(self.lamp)
        self.watch = Watch()
        self.traces: list[TurnTrace] = []
        self.camera = StillCamera(gate)
        self.room = Room(gate, 12.0)
        self.transcriber = ToneTranscriber()
        engine, voice = EchoEngine(), Hummer()
        turns = Turns(lambda: engine, lambda: self.transcriber, lambda: voice)
        wake_word = WakeTone() if settings.start == "wake" else None
        taker = TurnTaker(LoudnessDetector())
        self.dialogue = talk = Dialogue(taker, wake_word, settings, self.watch, self.traces.append)
        self.eyes = Eyes(self.camera, turns.look, self.watch)
        self.hearing = Hearing(turns.transcriber, "en", talk.understand, talk.partly_understood)
        self.thinking = Thinking(turns, self.eyes.picture, talk.remembered, self.watch)
        self.mouth = Mouth(self.room.speaker, Headset(), talk.speaking_began, talk.speaking_ended, settings.volume)
        talk.connect(self.eyes, self.hearing, self.thinking, self.mouth)

    @property
    def state(self) -> State:
        return self.dialogue.state

    def bring(self, sound: AudioChunk) -> None:
        """To the ear, as fast as it takes it."""
        for at in range(0, len(sound.samples), FRAME_SAMPLES):
            self.dialogue.hear(AudioChunk(sound.samples[at : at + FRAME_SAMPLES], 16_000, time.monotonic_ns()))

    def say(self, hertz: int, seconds: float = 0.5) -> None:
        self.bring(tone(hertz, seconds))

    def pause(self, seconds: float) -> None:
        self.bring(AudioChunk(np.zeros(round(seconds / FRAME_S) * FRAME_SAMPLES, np.float32), 16_000))

    def ask(self, hertz: int, turn: int) -> None:
        """Say it, fall silent and wait for the answer to be heard."""
        self.say(hertz)
        self.pause(1.3)
        self.watch.wait(SpeakingBegan, where=lambda event: event.turn == turn)

    def wait_for_end(self, turn: int) -> SpeakingEnded:
        return self.watch.wait(SpeakingEnded, where=lambda event: event.turn == turn)

    def wait_until_understood(self, revision: int) -> QuestionHeard:
        return self.watch.wait(QuestionHeard, where=lambda event: event.revision == revision)


@contextmanager
def talk(settings: LiveConfig) -> Iterator[Talk]:
    me = Talk(settings)
    parts = (me.eyes, me.hearing, me.thinking, me.mouth)
    running = [Pending(part.run, "part") for part in parts]
    with ExitStack() as stack:
        for part in parts:
            stack.callback(part.close)
        me.dialogue.wake(True, "test")
        yield me
        me.dialogue.wake(False, "over")
    for one in running:
        one.get()


def answer_to(hertz: int) -> str:
    return f"You asked: {PHRASES[hertz]} The picture is 64 x 48."


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
    assert me.dialogue.history == (Exchange(PHRASES[WHAT], answer_to(WHAT)),)


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
        me.room.sleep(0.5)
        assert not me.watch.of(SpeakingBegan) and not me.room.heard().samples.any()
        me.pause(1.0)
        me.wait_for_end(1)


def test_who_goes_on_is_answered_as_a_whole() -> None:
    with talk(OPEN) as me:
        me.say(WHAT)
        me.pause(0.3)
        me.wait_until_understood(1)
        me.say(RED)
        me.pause(1.3)
        me.watch.wait(TurnDone)
    assert me.watch.of(SpeechResumed) == [SpeechResumed(1, 1)]
    assert [done.question for done in me.watch.of(TurnDone)] == [f"{PHRASES[WHAT]} {PHRASES[RED]}"]
    assert me.watch.of(TurnDone)[0].trace.revisions == 2
    assert len(me.watch.of(SpeakingBegan)) == 1


def test_who_goes_on_when_the_answer_has_just_begun_takes_the_turn_back() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        me.say(RED)
        assert SpeechBegan(1, reopened=True) in me.watch.of(SpeechBegan)
        me.pause(1.3)
        me.watch.wait(TurnDone, where=lambda done: PHRASES[RED] in done.question)
        eventually(lambda: me.state is State.LISTENING)
    assert me.dialogue.history[-1] == Exchange(
        f"{PHRASES[WHAT]} {PHRASES[RED]}", f"You asked: {PHRASES[WHAT]} {PHRASES[RED]} The picture is 64 x 48."
    )
    assert len(me.watch.of(SpeakingEnded)) == len(me.watch.of(SpeakingBegan)) == 2


def test_an_answer_that_was_taken_back_never_happened() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        me.say(RED)
        me.pause(1.3)
        me.watch.wait(TurnDone, where=lambda done: PHRASES[RED] in done.question)
    assert [exchange.question for exchange in me.dialogue.history] == [f"{PHRASES[WHAT]} {PHRASES[RED]}"]


def test_mm_hm_over_an_answer_makes_it_quieter_and_it_goes_on() -> None:
    with talk(replace(OPEN, interrupt_s=1.0)) as me:
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 1.0)
        me.say(HUM, 0.3)
        assert me.watch.of(SpeakingDucked)[-1].ducked
        me.pause(1.3)
        assert me.watch.wait(QuestionHeard, where=lambda event: event.kind == "backchannel").text == PHRASES[HUM]
        assert me.wait_for_end(1).said == answer_to(WHAT)
    assert [event.ducked for event in me.watch.of(SpeakingDucked)] == [True, False]
    assert me.watch.of(SpeakingPaused) == []
    assert [done.question for done in me.watch.of(TurnDone)] == [PHRASES[WHAT]]


def test_a_long_mm_hm_holds_the_answer_and_it_goes_on() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 1.0)
        me.say(HUM, 0.5)
        assert me.mouth.is_held
        me.pause(1.3)
        ended = me.wait_for_end(1)
    assert (ended.said, ended.interrupted) == (answer_to(WHAT), False)
    assert [event.paused for event in me.watch.of(SpeakingPaused)] == [True, False]
    assert [event.ducked for event in me.watch.of(SpeakingDucked)] == [True, False]


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
        me.pause(1.3)
        first, second = me.wait_for_end(1), me.wait_for_end(2)
    assert first.interrupted and not second.interrupted
    words = first.said.split()
    assert 0 < len(words) < len(answer_to(WHAT).split())
    assert answer_to(WHAT).startswith(first.said)
    assert me.dialogue.history == (Exchange(PHRASES[WHAT], first.said), Exchange(PHRASES[RED], answer_to(RED)))


def test_stop_over_an_answer_stops_it() -> None:
    with talk(OPEN) as me:
        me.ask(WHAT, 1)
        eventually(lambda: me.mouth.heard_s > 1.0)
        me.say(STOP)
        me.pause(1.3)
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
    assert [exchange.question for exchange in me.dialogue.history] == [PHRASES[WHAT]]


def test_there_is_nothing_to_say_again() -> None:
    with talk(OPEN) as me:
        me.ask(AGAIN, 1)
        assert me.wait_for_end(1).said == NOTHING_TO_REPEAT
        assert me.dialogue.history == ()
        me.dialogue.repeat()
        eventually(lambda: len(me.watch.of(SpeakingEnded)) == 2)
        assert me.watch.of(SpeakingEnded)[1].said == NOTHING_TO_REPEAT


def test_a_cough_gets_no_answer() -> None:
    with talk(OPEN) as me:
        me.say(HUM)
        me.pause(1.3)
        assert me.watch.wait(QuestionHeard).kind == "backchannel"
        eventually(lambda: me.state is State.IDLE)
        me.room.sleep(0.5)
        assert not me.watch.of(SpeakingBegan) and not me.watch.of(TurnDone)


def test_without_a_button_nobody_listens_in_push_mode() -> None:
    with talk(PUSH) as me:
        me.say(WHAT)
        me.pause(1.3)
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
        me.pause(1.3)
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
        me.pause(1.3)
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
        me.pause(1.3)
        assert me.watch.wait(QuestionHeard).kind == "backchannel"
        eventually(lambda: me.state is State.LISTENING)
        me.pause(2.0)
        assert me.state is State.LISTENING
        me.say(WHAT)
        me.pause(1.3)
        assert me.watch.wait(TurnDone).question == PHRASES[WHAT]


def test_after_an_answer_to_a_woken_question_the_wake_word_is_not_needed_and_not_missed() -> None:
    with talk(WOKEN) as me:
        me.say(WAKE, 0.3)
        me.ask(WHAT, 1)
        me.wait_for_end(1)
        eventually(lambda: me.state is State.LISTENING)
        me.say(CAT)
        me.pause(1.3)
        second = me.watch.wait(TurnDone, 2)
    assert second.question == PHRASES[CAT]
    assert second.trace.wake_at_ns is None


def test_asleep_nothing_is_heard() -> None:
    with talk(OPEN) as me:
        me.dialogue.wake(False, "folded")
        assert me.state is State.ASLEEP
        me.say(WHAT)
        me.pause(1.3)
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


def test_an_announcement_is_made_unless_somebody_speaks() -> None:
    with talk(OPEN) as me:
        me.dialogue.announce("The battery is low.")
        assert me.watch.wait(SpeakingEnded).said == "The battery is low."
        assert me.dialogue.history == ()
        me.say(WHAT)
        me.dialogue.announce("It is hot.")
        me.pause(1.3)
        me.watch.wait(TurnDone, where=lambda done: done.question == PHRASES[WHAT])
        me.dialogue.announce("It is hot.")
    assert [event.said for event in me.watch.of(SpeakingEnded) if not event.interrupted] == [
        "The battery is low.",
        answer_to(WHAT),
    ]


def test_whoever_fails_on_a_question_says_so() -> None:
    with talk(OPEN) as me:
        me.dialogue.fail(None)
        now_ns = time.monotonic_ns()
        me.dialogue.fail(Draft(1, 1, tone(WHAT, 0.5), now_ns, end_of_turn_ns=now_ns))
        assert me.watch.wait(SpeakingEnded).said == WENT_WRONG
        assert me.dialogue.history == ()


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
        me.pause(1.3)
        trace = me.watch.wait(TurnDone).trace
    assert trace.last_partial_at_ns is not None


@pytest.mark.parametrize("count", [0, 1, 5])
def test_as_much_is_remembered_as_is_wanted(count: int) -> None:
    with talk(replace(OPEN, remember=count)) as me:
        for number in range(3):
            me.dialogue.ask(f"{number}?")
            me.watch.wait(TurnDone, number + 1)
        assert me.dialogue.remembered() == me.dialogue.history[len(me.dialogue.history) - min(count, 3) :]
        assert len(me.dialogue.history) == 3
