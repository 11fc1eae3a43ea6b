"""What every Engine promises, held against all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lorgnette.assistant.background import Pending
from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.llm.attentive_engine import AttentiveScoringEngine
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.llm.engine import Engine, Exchange, Prompt, ScoringEngine, Token
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine
from lorgnette.vision.quality import Quality
from lorgnette.vision.scene_text import SceneText

Ask = Callable[[Engine, Prompt], list[Token]]
TINY = Path(__file__).parents[1] / "models" / "tiny_vlm"
QUESTION = "What is on the table?"

ENGINES: dict[str, Callable[[int], Engine]] = {
    "onnx": lambda limit: OnnxEngine(ModelBundle.open(TINY), EngineSettings(max_new_tokens=limit)),
    "echo": EchoEngine,
    "attentive": lambda limit: _attentive(limit, ahead=False),
    "attentive and reading ahead": lambda limit: _attentive(limit, ahead=True),
}


class Exit:
    """Reads EXIT wherever it looks."""

    def has_writing(self, frame: Frame) -> bool:
        return True

    def read_scene(self, frame: Frame) -> tuple[SceneText, ...]:
        return (SceneText("EXIT", "at the top"),)


def _attentive(limit: int, ahead: bool) -> Engine:
    engine = OnnxEngine(ModelBundle.open(TINY), EngineSettings(max_new_tokens=limit))
    return AttentiveScoringEngine(engine, lambda frame: Quality(), Exit, Pending, ahead)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param](12)


def test_it_has_a_name(engine: Engine) -> None:
    assert engine.name


def test_it_answers_with_and_without_a_picture(engine: Engine, pictures: list[Frame], ask: Ask) -> None:
    for picture in (pictures[0], None):
        tokens = ask(engine, Prompt(QUESTION, picture))
        assert tokens
        assert all(token.log_probability <= 0.0 for token in tokens)


def test_it_takes_history(engine: Engine, pictures: list[Frame], ask: Ask) -> None:
    assert ask(engine, Prompt(QUESTION, pictures[0], (Exchange("Is it day?", "Yes."),)))


def test_a_second_look_is_free(engine: Engine, pictures: list[Frame]) -> None:
    assert not engine.look(pictures[0]).cached
    assert engine.look(pictures[0]).cached
    assert not engine.look(pictures[1]).cached


def test_the_same_prompt_gets_the_same_answer(engine: Engine, pictures: list[Frame], ask: Ask) -> None:
    prompt = Prompt(QUESTION, pictures[0])
    assert ask(engine, prompt) == ask(engine, prompt)


def test_an_empty_question_is_refused_before_the_first_token(engine: Engine, pictures: list[Frame]) -> None:
    with pytest.raises(InputError):
        engine.stream(Prompt(" ", pictures[0]), CancelScope())


def test_the_answer_keeps_to_its_limit(engine: Engine, pictures: list[Frame], ask: Ask) -> None:
    assert len(ask(engine, Prompt("one two three " * 10, pictures[0]))) == 12


def test_cancelling_ends_the_answer(engine: Engine, pictures: list[Frame]) -> None:
    cancel = CancelScope()
    answer = engine.stream(Prompt(QUESTION, pictures[0]), cancel)
    next(answer)
    cancel.next()
    assert list(answer) == []


def test_an_answer_that_began_after_the_cancel_goes_on(engine: Engine, pictures: list[Frame]) -> None:
    cancel = CancelScope()
    cancel.next()
    assert len(list(engine.stream(Prompt(QUESTION, pictures[0]), cancel))) > 1


def test_a_second_answer_ends_the_first(engine: Engine, pictures: list[Frame]) -> None:
    first = engine.stream(Prompt(QUESTION, pictures[0]), CancelScope())
    next(first)
    second = engine.stream(Prompt(QUESTION, pictures[1]), CancelScope())
    next(second)
    assert list(first) == []
    assert list(second)


def test_it_weighs_answers(engine: Engine, pictures: list[Frame], ask: Ask) -> None:
    assert isinstance(engine, ScoringEngine)
    for picture in (pictures[0], None):
        prompt = Prompt(QUESTION, picture)
        weights = engine.log_probabilities(prompt, ["A dog.", "A rather long and unlikely answer."])
        assert all(weight <= 0.0 for weight in weights)
        assert engine.log_probabilities(prompt, ["A dog."]) == pytest.approx(weights[:1])
        assert engine.log_probabilities(prompt, []) == []


def test_weighing_leaves_the_answer_as_it_was(engine: Engine, pictures: list[Frame], ask: Ask) -> None:
    assert isinstance(engine, ScoringEngine)
    prompt = Prompt(QUESTION, pictures[0])
    before = ask(engine, prompt)
    engine.log_probabilities(Prompt("Is it day?", pictures[0]), ["Yes.", "No."])
    assert ask(engine, prompt) == before


def test_nothing_is_no_answer_to_weigh(engine: Engine) -> None:
    assert isinstance(engine, ScoringEngine)
    with pytest.raises(InputError):
        engine.log_probabilities(Prompt(QUESTION), ["Yes.", " "])
