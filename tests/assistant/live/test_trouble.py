"""Whatever breaks is told, said where it matters, and over when it works again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_box import (
    CAT,
    PHRASES,
    RED,
    WHAT,
    answer_to,
    conversation,
    eventually,
)

from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live.events import (
    SpeakingBegan,
    SpeakingEnded,
    SpeechBegan,
    State,
    Trouble,
    TurnDone,
)
from lorgnette.assistant.live.words import (
    EYES_SHUT,
    NO_CAMERA,
    NO_MICROPHONE,
    WENT_WRONG,
)
from lorgnette.assistant.simulator.faults import Faults
from lorgnette.device.errors import DeviceError, InputError
from lorgnette.device.frame import Frame
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.llm.engine import Exchange, Look, Prompt, Token

# A short patience, so that a turn without an end-of-turn model is over soon.
OPEN = LiveConfig(start="open", partials=False, unfinished_s=0.6)


def test_a_microphone_that_is_pulled_out_is_said_and_heard_again() -> None:
    with conversation(OPEN) as me:
        me.room.unplug_microphone()
        trouble = me.watch.wait(Trouble)
        assert (trouble.part, trouble.over) == ("microphone", False)
        assert trouble.hint
        me.heard_to_the_end(NO_MICROPHONE)
        eventually(lambda: me.assistant.state is State.DEGRADED)
        assert "microphone" not in me.lamp.lit
        me.assistant.ask("Hello?")
        me.heard_to_the_end("You asked: Hello? The picture is 64 x 48.")
        me.room.plug_microphone()
        me.watch.wait(Trouble, where=lambda event: event.part == "microphone" and event.over)
        me.say(WHAT, delay_s=0.2)
        me.heard_to_the_end(answer_to(WHAT))
        assert me.assistant.state is not State.DEGRADED
    assert [event.over for event in me.watch.of(Trouble)] == [False, True], "it is said once"


def test_a_microphone_that_is_lost_in_the_middle_of_a_question() -> None:
    with conversation(OPEN) as me:
        me.say(WHAT, 1.0)
        me.watch.wait(SpeechBegan)
        me.switches.now = Faults(microphone_lost=True)
        me.heard_to_the_end(NO_MICROPHONE)
        me.switches.now = Faults()
        me.watch.wait(Trouble, where=lambda event: event.over)
        me.say(CAT, delay_s=0.2)
        assert me.watch.wait(TurnDone, where=lambda done: bool(done.question)).question == PHRASES[CAT]


def test_a_camera_that_fails_is_a_spoken_reason() -> None:
    with conversation(OPEN) as me:
        me.switches.now = Faults(camera_lost=True)
        me.say(WHAT)
        me.heard_to_the_end(NO_CAMERA)
        assert {event.part for event in me.watch.of(Trouble)} == {"camera"}
        done = me.watch.wait(TurnDone)
        assert (done.question, done.trace.outcome, done.trace.capture_at_ns) == (PHRASES[WHAT], "failed", None)
        me.switches.now = Faults()
        me.say(RED, delay_s=0.5)
        me.heard_to_the_end(answer_to(RED))
        eventually(lambda: me.assistant.state is not State.DEGRADED)
    assert [event.over for event in me.watch.of(Trouble) if event.part == "camera"][-1]


def test_a_camera_whose_pictures_are_old_is_no_camera() -> None:
    with conversation(OPEN) as me:
        me.camera.late_s = 5.0
        me.assistant.ask("Hello?")
        me.heard_to_the_end(NO_CAMERA)


def test_a_transcriber_that_fails_is_said_and_the_next_question_is_answered() -> None:
    with conversation(OPEN) as me:
        me.transcriber.broken = True
        me.say(WHAT)
        me.heard_to_the_end(WENT_WRONG)
        me.transcriber.broken = False
        me.say(RED, delay_s=0.2)
        me.heard_to_the_end(answer_to(RED))
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
        me.heard_to_the_end(answer_to(WHAT))
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
        me.heard_to_the_end(answer_to(RED))
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


def test_traces_that_cannot_be_written_are_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with conversation(OPEN, traces=tmp_path / "file") as me:
        for number in range(2):
            me.assistant.ask("Hello?")
            me.watch.wait(TurnDone, number + 1)
    assert [event.part for event in me.watch.of(Trouble)] == ["traces"]
