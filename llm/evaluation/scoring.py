"""From answers to figures: each task in each condition, by kind of question, and with its errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorgnette.llm.evaluation.answers import Answer, AnswerFile
from lorgnette.llm.evaluation.calibration import Reliability, measure_reliability
from lorgnette.llm.evaluation.plan import TaskRun
from lorgnette.llm.evaluation.statistics import Estimate, Figure, Stats, by_photo, estimate
from lorgnette.llm.evaluation.task import Condition, Item, Judgement, Outcome, share

RIGHT = Figure("right")
_COMMON_ERRORS = 3


@dataclass(frozen=True, slots=True)
class Judged:
    """An item with what was answered and what that is worth; `shown` is the picture that the engine saw."""

    item: Item
    answer: Answer
    judgement: Judgement
    shown: str

    @property
    def said(self) -> str:
        return self.judgement.said or self.answer.text


@dataclass(frozen=True, slots=True)
class KindScore:
    """One row of the table of kinds: shares of right answers by condition, and what was wrongly said most often."""

    kind: str
    questions: int
    missing: int
    right: Mapping[Condition, Estimate]
    errors: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class TaskScore:
    """All about one task on one data set. `sums` are those of the picture condition, by figure and photograph."""

    run: TaskRun
    judged: Mapping[Condition, Sequence[Judged]]
    figures: Mapping[str, Mapping[Condition, Estimate]]
    sums: Mapping[str, Mapping[str, Stats]]
    kinds: Sequence[KindScore]
    guess: float | None


def score(run: TaskRun, answers: AnswerFile) -> TaskScore:
    """Judge the answers that are there; a question without one (its picture could not be shown) is left out."""
    judged = {condition: _judge(run, condition, answers) for condition in run.conditions}
    sums = {condition: _sums(run, entries) for condition, entries in judged.items()}
    figures: dict[str, dict[Condition, Estimate]] = {}
    for figure in run.task.figures:
        for condition in run.conditions:
            value = estimate(figure, sums[condition].get(figure.name, {}))
            if value is not None:
                figures.setdefault(figure.name, {})[condition] = value
    return TaskScore(run, judged, figures, sums.get(Condition.PICTURE, {}), _kinds(judged), run.task.guess(run.items))


def confidence(scores: Sequence[TaskScore]) -> Reliability | None:
    """Calibrate on all free answers about their own picture that are right or wrong; "I can't tell" is neither."""
    entries = [
        (entry.answer.log_probability, entry.judgement.outcome is Outcome.RIGHT, f"{name}/{entry.item.photo.image}")
        for task in scores
        for name in (task.run.selection.name,)
        for entry in task.judged.get(Condition.PICTURE, ())
        if entry.answer.tokens and entry.judgement.outcome in (Outcome.RIGHT, Outcome.WRONG)
    ]
    return measure_reliability(*(list(column) for column in zip(*entries, strict=True))) if entries else None


def _judge(run: TaskRun, condition: Condition, answers: AnswerFile) -> list[Judged]:
    asks = [(item, run.ask(item, condition)) for item in run.items]
    found = [(item, ask, answer) for item, ask in asks if (answer := answers.get(ask)) is not None]
    if not found:
        return []
    judgements = run.task.judge([item for item, _, _ in found], [answer for _, _, answer in found])
    return [
        Judged(item, answer, judgement, ask.image)
        for (item, ask, answer), judgement in zip(found, judgements, strict=True)
    ]


def _sums(run: TaskRun, entries: Sequence[Judged]) -> dict[str, dict[str, Stats]]:
    sums = {}
    for figure in run.task.figures:
        counted = [entry for entry in entries if figure.name in entry.judgement.stats]
        photos = [entry.item.photo.image for entry in counted]
        sums[figure.name] = by_photo(photos, [entry.judgement.stats[figure.name] for entry in counted])
    return sums


def _kinds(judged: Mapping[Condition, Sequence[Judged]]) -> list[KindScore]:
    shown = [entry for entry in judged.get(Condition.PICTURE, ()) if entry.judgement.outcome is not Outcome.NONE]
    sizes = Counter(entry.item.kind for entry in shown)
    return [_kind(kind, judged) for kind, _ in sizes.most_common()]


def _kind(kind: str, judged: Mapping[Condition, Sequence[Judged]]) -> KindScore:
    right: dict[Condition, Estimate] = {}
    for condition, entries in judged.items():
        mine = [entry for entry in entries if entry.item.kind == kind]
        stats = [share(entry.judgement.outcome is Outcome.RIGHT) for entry in mine]
        value = estimate(RIGHT, by_photo([entry.item.photo.image for entry in mine], stats))
        if value is not None:
            right[condition] = value
    mine = [entry for entry in judged[Condition.PICTURE] if entry.item.kind == kind]
    outcomes = Counter(entry.judgement.outcome for entry in mine)
    errors = Counter(entry.said for entry in mine if entry.judgement.outcome is Outcome.WRONG)
    return KindScore(kind, len(mine), outcomes[Outcome.MISSING], right, errors.most_common(_COMMON_ERRORS))
