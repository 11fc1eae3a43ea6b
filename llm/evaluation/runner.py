"""Asks an engine what was planned and keeps every answer at once, so that nothing is asked twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Engine, Prompt, ScoringEngine
from lorgnette.llm.evaluation.answers import Answer, AnswerFile, Ask
from lorgnette.llm.evaluation.plan import Visit
from lorgnette.llm.evaluation.record import Photo

OnAnswer = Callable[[int], None]


def run_visits(
    engine: Engine, visits: Sequence[Visit], answers: AnswerFile, on_answer: OnAnswer = lambda count: None
) -> list[str]:
    """Ask everything that `answers` does not hold yet; `on_answer` hears how many more are there.

    Returns what could not be shown, one line for each picture that cannot be decoded; its questions stay unanswered.
    """
    unreadable = []
    for visit in visits:
        pending = [ask for ask in visit.asks if ask not in answers]
        on_answer(len(visit.asks) - len(pending))
        if not pending:
            continue
        try:
            frame = _frame(visit)
        except InputError as error:
            unreadable.append(error.message)
            on_answer(len(pending))
            continue
        look_seconds = _look(engine, frame)
        for ask in pending:
            answers.add(ask, _answer(engine, ask, frame, look_seconds))
            look_seconds = 0.0
            on_answer(1)
    return unreadable


def _frame(visit: Visit) -> Frame | None:
    if visit.selection is None:
        return None
    return Frame(visit.selection.source.pixels(Photo(visit.image)))


def _look(engine: Engine, frame: Frame | None) -> float:
    if frame is None:
        return 0.0
    started = time.perf_counter()
    look = engine.look(frame)
    return 0.0 if look.cached else time.perf_counter() - started


def _answer(engine: Engine, ask: Ask, frame: Frame | None, look_seconds: float) -> Answer:
    """One answer; a question that the engine refuses (it is too long) gets an empty one."""
    prompt = Prompt(ask.question, frame)
    started = time.perf_counter()
    try:
        if ask.choices:
            assert isinstance(engine, ScoringEngine)
            scores = engine.log_probabilities(prompt, ask.choices)
            return Answer(seconds=time.perf_counter() - started, look_seconds=look_seconds, scores=tuple(scores))
        tokens, first_seconds = [], 0.0
        for token in engine.stream(prompt, CancelScope()):
            first_seconds = first_seconds or time.perf_counter() - started
            tokens.append(token)
    except InputError:
        return Answer(look_seconds=look_seconds, scores=tuple(0.0 for _ in ask.choices))
    mean = sum(token.log_probability for token in tokens) / len(tokens) if tokens else 0.0
    text = "".join(token.text for token in tokens).strip()
    return Answer(text, mean, len(tokens), time.perf_counter() - started, first_seconds, look_seconds)
