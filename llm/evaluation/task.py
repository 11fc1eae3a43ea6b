"""What a task is: questions made from a data set, and how an answer to one is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lorgnette.llm.evaluation.answers import Answer
from lorgnette.llm.evaluation.record import Photo
from lorgnette.llm.evaluation.statistics import Figure, Stats


class Condition(StrEnum):
    """What the engine is shown with a question: its picture, the picture of another question, or nothing."""

    PICTURE = "picture"
    SHUFFLED = "shuffled"
    BLIND = "blind"


class Outcome(StrEnum):
    """`NONE` is for answers that are not simply right or wrong, such as captions."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a task. `answers` are the accepted ones (what they are is up to the task), `kind` the row of the
    table of kinds it counts in; the first of `choices` is the right one."""

    photo: Photo
    question: str
    answers: tuple[str, ...] = ()
    kind: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer is worth: for each figure that it counts in, what it adds to the figure's sums. `said` is what the
    answer came to, where that is not its text (the choice that was taken)."""

    outcome: Outcome
    stats: Mapping[str, Stats] = field(default_factory=dict)
    said: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """`items` makes the questions from photographs and a seed, `judge` all answers at once (some scores need all).
    The first figure is the task's main one; `guess` is what that gives to whoever always says the same, or chooses at
    random."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    items: Callable[[Sequence[Photo], int], list[Item]]
    judge: Callable[[Sequence[Item], Sequence[Answer]], list[Judgement]]
    conditions: tuple[Condition, ...] = tuple(Condition)
    guess: Callable[[Sequence[Item]], float | None] = lambda items: None
    by_likelihood: bool = False


Judge = Callable[[Item, Answer], Judgement]


def one_by_one(judge: Judge) -> Callable[[Sequence[Item], Sequence[Answer]], list[Judgement]]:
    """A task's `judge` from one that needs no other answers."""
    return lambda items, answers: [judge(item, answer) for item, answer in zip(items, answers, strict=True)]


def share(true: bool) -> Stats:
    """One answer of a share."""
    return (float(true), 1.0)
