"""The engine that looks and reads first: advice for bad frames, writing told where it is called for, nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from lorgnette.assistant.background import Pending
from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.device.session import SessionError
from lorgnette.llm.attentive_engine import (
    AttentiveEngine,
    AttentiveScoringEngine,
    SceneReader,
    Writing,
)
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.llm.engine import Engine, Look, Prompt, Token
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine
from lorgnette.vision.quality import ADVICE, Quality
from lorgnette.vision.scene_text import SceneText

Ask = Callable[[Engine, Prompt], list[Token]]
EXIT = (SceneText("EXIT", "at the top"),)
PICTURE = Frame(np.zeros((48, 64, 3), np.uint8))
READ, LOOK = "What does it say?", "What is the man doing?"


class Told(EchoEngine):
    """Remembers the prompts that it was to answer, once it began."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[Prompt] = []
        self.looks = 0

    def look(self, picture: Frame) -> Look:
        self.looks += 1
        return super().look(picture)

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        tokens = super().stream(prompt, cancel)

        def begin() -> Iterator[Token]:
            self.prompts.append(prompt)
            yield from tokens

        return begin()


class Reader:
    """Reads the same in every picture, and counts."""

    def __init__(self, writing: Writing, prominent: bool = True) -> None:
        self.writing = writing
        self.prominent = prominent
        self.glances = self.readings = 0

    def has_writing(self, frame: Frame) -> bool:
        self.glances += 1
        return self.prominent

    def read_scene(self, frame: Frame) -> Writing:
        self.readings += 1
        return self.writing


def attentive(
    reader: SceneReader | None = None, problem: str | None = None, ahead: bool = False
) -> tuple[AttentiveEngine, Told]:
    told = Told()
    get = None if reader is None else lambda: reader
    return AttentiveEngine(told, lambda frame: Quality(problem), get, Pending, ahead), told


def text(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens)


@pytest.mark.parametrize("problem", ADVICE)
def test_a_bad_frame_gets_advice(problem: str, ask: Ask) -> None:
    engine, told = attentive(problem=problem)
    assert text(ask(engine, Prompt(LOOK, PICTURE))) == ADVICE[problem]
    assert told.prompts == []


def test_a_good_frame_goes_to_the_engine_as_it_is(ask: Ask) -> None:
    engine, told = attentive(Reader(EXIT))
    prompt = Prompt(LOOK, PICTURE)
    assert text(ask(engine, prompt)) == text(ask(EchoEngine(), prompt))
    assert told.prompts == [prompt]


def test_without_a_judge_every_frame_is_good(ask: Ask) -> None:
    engine = AttentiveEngine(EchoEngine(), None, None, Pending)
    assert text(ask(engine, Prompt(LOOK, PICTURE))).startswith("You asked")


def test_no_picture_no_advice_and_no_reading(ask: Ask) -> None:
    reader = Reader(EXIT)
    engine, told = attentive(reader, "dark")
    ask(engine, Prompt(READ))
    assert [prompt.text for prompt in told.prompts] == [None]
    assert reader.readings == 0


@pytest.mark.parametrize("writing", [EXIT, ()])
def test_a_question_about_writing_has_it_read_once(writing: Writing, ask: Ask) -> None:
    reader = Reader(writing)
    engine, told = attentive(reader)
    for _ in range(2):
        ask(engine, Prompt(READ, PICTURE))
    assert [prompt.text for prompt in told.prompts] == [writing, writing]
    assert (reader.glances, reader.readings) == (0, 1)


def test_another_question_is_not_read_for(ask: Ask) -> None:
    reader = Reader(EXIT)
    engine, told = attentive(reader)
    engine.look(PICTURE)
    ask(engine, Prompt(LOOK, PICTURE))
    assert told.prompts[0].text is None
    assert (reader.glances, reader.readings) == (0, 0)


def test_what_is_known_already_is_not_read_again(ask: Ask) -> None:
    reader = Reader(EXIT)
    engine, told = attentive(reader)
    ask(engine, Prompt(READ, PICTURE, text=()))
    assert told.prompts[0].text == ()
    assert reader.readings == 0


def test_prominent_writing_is_read_ahead(ask: Ask) -> None:
    reader = Reader(EXIT)
    engine, told = attentive(reader, ahead=True)
    engine.look(PICTURE)
    engine.look(PICTURE)
    ask(engine, Prompt(READ, PICTURE))
    ask(engine, Prompt(LOOK, PICTURE))
    assert [prompt.text for prompt in told.prompts] == [EXIT, None]
    assert (reader.glances, reader.readings) == (1, 1)


def test_small_writing_is_read_when_asked_for(ask: Ask) -> None:
    reader = Reader(EXIT, prominent=False)
    engine, told = attentive(reader, ahead=True)
    engine.look(PICTURE)
    ask(engine, Prompt(READ, PICTURE))
    assert told.prompts[0].text == EXIT
    assert (reader.glances, reader.readings) == (1, 1)


def test_looking_does_not_wait_for_the_reader(ask: Ask) -> None:
    gate = threading.Event()

    class Slow(Reader):
        def read_scene(self, frame: Frame) -> Writing:
            assert gate.wait(10)
            return super().read_scene(frame)

    engine, told = attentive(Slow(EXIT), ahead=True)
    engine.look(PICTURE)
    ask(engine, Prompt(LOOK, PICTURE))  # nor does a question that is not about it
    gate.set()
    ask(engine, Prompt(READ, PICTURE))
    assert [prompt.text for prompt in told.prompts] == [None, EXIT]


def test_what_can_be_read_in_a_bad_frame_is_answered(ask: Ask) -> None:
    """A white page is blank to who looks from afar."""
    engine, told = attentive(Reader(EXIT), "blank")
    assert text(ask(engine, Prompt(READ, PICTURE))).startswith("You asked")
    engine, told = attentive(Reader(()), "blank")
    assert text(ask(engine, Prompt(READ, PICTURE))) == ADVICE["blank"]
    assert told.prompts == []


def test_pictures_do_not_mix(ask: Ask) -> None:
    class PerWidth(Reader):
        def read_scene(self, frame: Frame) -> Writing:
            super().read_scene(frame)
            return (SceneText(str(frame.width), "in the middle"),)

    reader = PerWidth(())
    engine, told = attentive(reader)
    pictures = [Frame(np.zeros((20, width, 3), np.uint8)) for width in (10, 20, 30)]
    for index in (0, 1, 0, 2, 0, 1):
        ask(engine, Prompt(READ, pictures[index]))
    assert [prompt.text[0].text for prompt in told.prompts if prompt.text] == ["10", "20", "10", "30", "10", "20"]
    assert reader.readings == 4, "two pictures are remembered"


def test_a_reader_that_fails_fails_only_who_needs_it(ask: Ask) -> None:
    def broken() -> SceneReader:
        raise SessionError("the reader is broken")

    engine = AttentiveEngine(EchoEngine(), None, broken, Pending)
    engine.look(PICTURE)
    assert ask(engine, Prompt(LOOK, PICTURE))
    with pytest.raises(SessionError, match="broken"):
        ask(engine, Prompt(READ, PICTURE))


def test_an_empty_question_is_refused_before_anything_is_read() -> None:
    reader = Reader(EXIT)
    engine, _ = attentive(reader, "dark")
    with pytest.raises(InputError):
        engine.stream(Prompt("", PICTURE), CancelScope())
    assert reader.readings == 0


def test_cancelling_while_reading_ends_the_answer() -> None:
    cancel = CancelScope()

    class Interrupted(Reader):
        def read_scene(self, frame: Frame) -> Writing:
            cancel.next()
            return super().read_scene(frame)

    engine, told = attentive(Interrupted(EXIT))
    assert list(engine.stream(Prompt(READ, PICTURE), cancel)) == []
    assert told.prompts == []


def test_cancelling_ends_advice() -> None:
    engine, _ = attentive(problem="dark")
    cancel = CancelScope()
    advice = engine.stream(Prompt(LOOK, PICTURE), cancel)
    next(advice)
    cancel.next()
    assert list(advice) == []


def test_advice_ends_an_answer_and_an_answer_ends_advice() -> None:
    bright = Frame(np.full((48, 64, 3), 200, np.uint8))
    dark_only = lambda frame: Quality(None if frame.pixels.any() else "dark")  # noqa: E731
    engine = AttentiveEngine(EchoEngine(), dark_only, None, Pending)
    for first, second in ((PICTURE, bright), (bright, PICTURE)):
        earlier = engine.stream(Prompt(LOOK, first), CancelScope())
        next(earlier)
        later = engine.stream(Prompt(LOOK, second), CancelScope())
        next(later)
        assert list(earlier) == []
        assert list(later)


def test_weighing_answers_is_told_what_is_written(bundle: ModelBundle, pictures: list[Frame]) -> None:
    plain = OnnxEngine(bundle, EngineSettings())
    engine = AttentiveScoringEngine(plain, None, lambda: Reader(EXIT), Pending, False)
    answers = ["Yes.", "No."]
    told = Prompt(READ, pictures[0], text=EXIT)
    assert engine.log_probabilities(Prompt(READ, pictures[0]), answers) == plain.log_probabilities(told, answers)
    unread = Prompt(LOOK, pictures[0])
    assert engine.log_probabilities(unread, answers) == plain.log_probabilities(unread, answers)
