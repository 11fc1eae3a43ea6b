"""Tasks from questions with answers, and from labels: free answers, decisions, and choices by likelihood."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lorgnette.llm.evaluation.answers import Answer
from lorgnette.llm.evaluation.matching import abstains, contained, exact, yes_or_no
from lorgnette.llm.evaluation.record import Photo, QuestionAnswer
from lorgnette.llm.evaluation.statistics import Figure, Stats
from lorgnette.llm.evaluation.task import Item, Judge, Judgement, Outcome, Task, one_by_one, share

WHAT_IS_IT = "What is this?"
_LABEL_CHOICES = 10

_CONTAINED = Figure("contained")
_EXACT = Figure("exact")
# Right +1, missing 0, wrong -1, as in CRAG (X. Yang and others, 2024) and CRAG-MM: silence is better than invention.
_TRUTH = Figure("truthfulness x 100", unit="")
_BALANCED = Figure("balanced accuracy", "balanced")
_DECIDED = Figure("decided right")
_CHOICE = Figure("chosen")
_CHOICE_BY_LENGTH = Figure("chosen, per byte")
_COARSE = Figure("coarse name contained")
OPEN = (_CONTAINED, _EXACT, _TRUTH)
BALANCED = (_BALANCED, _DECIDED, _TRUTH)


def outcome_of(right: bool, answer: str) -> Outcome:
    return Outcome.RIGHT if right else Outcome.MISSING if abstains(answer) else Outcome.WRONG


def truth(outcome: Outcome) -> Stats:
    return ({Outcome.RIGHT: 1.0, Outcome.WRONG: -1.0}.get(outcome, 0.0), 1.0)


def judge_open(kind: str | None = None) -> Judge:
    """Judges free answers to questions of `kind` (None: of the item's own)."""

    def judge(item: Item, answer: Answer) -> Judgement:
        right = contained(answer.text, item.answers, item.kind if kind is None else kind)
        outcome = outcome_of(right, answer.text)
        stats = {_CONTAINED.name: share(right), _EXACT.name: share(exact(answer.text, item.answers))}
        return Judgement(outcome, stats | {_TRUTH.name: truth(outcome)})

    return judge


def judge_decision(item: Item, answer: Answer) -> Judgement:
    """Judges a yes or no; "I can't see a dog" is a no, "I can't tell" is missing."""
    said, wanted = yes_or_no(answer.text), yes_or_no(item.answers[0])
    outcome = Outcome.RIGHT if said == wanted else Outcome.WRONG if said else outcome_of(False, answer.text)
    right = float(outcome is Outcome.RIGHT)
    balanced = (right, 1.0, 0.0, 0.0) if wanted == "yes" else (0.0, 0.0, right, 1.0)
    stats = {_BALANCED.name: balanced, _DECIDED.name: (right, 1.0), _TRUTH.name: truth(outcome)}
    return Judgement(outcome, stats)


def judge_choice(item: Item, answer: Answer) -> Judgement:
    """The first choice is right. Once by the probability of the whole answer, once by its logarithm per byte, which
    does not favour short ones (the `acc` and `acc_norm` of EleutherAI's evaluation harness)."""
    scores = np.array(answer.scores)
    lengths = np.array([len(choice.encode()) for choice in item.choices])
    chosen, by_length = _last_best(scores), _last_best(scores / lengths)
    outcome = Outcome.RIGHT if chosen == 0 else Outcome.WRONG
    stats = {_CHOICE.name: share(chosen == 0), _CHOICE_BY_LENGTH.name: share(by_length == 0)}
    return Judgement(outcome, stats, item.choices[chosen])


def _last_best(scores: npt.NDArray[np.float64]) -> int:
    """The place of the greatest score; of equal ones the last, so that a tie with the right choice is no success."""
    return len(scores) - 1 - int(scores[::-1].argmax())


def _asked(photos: Sequence[Photo]) -> list[tuple[Photo, QuestionAnswer]]:
    return [(photo, qa) for photo in photos if photo.usable for qa in photo.qa]


def _decision(qa: QuestionAnswer) -> str:
    """ "yes" or "no" where that is what the question is answered by, whatever its kind is called; else ""."""
    plain = qa.kind == "yes_no" or exact(qa.answers[0], ("yes", "no"))
    return yes_or_no(qa.answers[0]) if plain else ""


def _sentence(answer: str) -> str:
    """A choice as an engine would say it, so that all are weighed alike: capital letter, full stop."""
    return answer if answer[-1] in ".!?" else f"{answer[:1].upper()}{answer[1:]}."


def _answers(photos: Sequence[Photo], seed: int) -> list[Item]:
    return [Item(photo, qa.question, qa.answers, qa.kind) for photo, qa in _asked(photos) if not _decision(qa)]


def _decisions(photos: Sequence[Photo], seed: int) -> list[Item]:
    return [Item(photo, qa.question, qa.answers, _decision(qa)) for photo, qa in _asked(photos) if _decision(qa)]


def _choices(photos: Sequence[Photo], seed: int) -> list[Item]:
    return [
        Item(photo, qa.question, qa.answers, qa.kind, tuple(map(_sentence, (qa.answers[0], *qa.distractors))))
        for photo, qa in _asked(photos)
        if qa.distractors
    ]


def _labels(photos: Sequence[Photo], seed: int) -> list[Item]:
    labelled = [photo for photo in photos if photo.label and photo.usable]
    return [Item(photo, WHAT_IS_IT, (photo.label,), photo.coarse or photo.label) for photo in labelled]


def _judge_label(item: Item, answer: Answer) -> Judgement:
    judgement = judge_open("what")(item, answer)
    if not item.photo.coarse:
        return judgement
    coarse = contained(answer.text, (item.photo.coarse, item.photo.label))
    return Judgement(judgement.outcome, {**judgement.stats, _COARSE.name: share(coarse)})


def _label_choices(photos: Sequence[Photo], seed: int) -> list[Item]:
    """Each label against nine others of the set (all others where there are fewer)."""
    items = _labels(photos, seed)
    names = sorted({item.photo.label for item in items})
    if len(names) < 2:
        return []
    rng = random.Random(seed)
    chosen = []
    for item in items:
        others = [name for name in names if name != item.photo.label]
        wrong = rng.sample(others, min(_LABEL_CHOICES - 1, len(others)))
        choices = tuple(map(_sentence, (item.photo.label, *wrong)))
        chosen.append(Item(item.photo, item.question, item.answers, item.kind, choices))
    return chosen


def _commonest(items: Sequence[Item]) -> float | None:
    """The share that the commonest accepted answer gets."""
    counts = Counter(text for item in items for text in {answer.lower().rstrip(".") for answer in item.answers})
    return 100 * max(counts.values()) / len(items) if items else None


def _even_chance(items: Sequence[Item]) -> float | None:
    return 100 * sum(1 / len(item.choices) for item in items) / len(items) if items else None


ANSWERS = Task("answers", "Short answers", OPEN, _answers, one_by_one(judge_open()), guess=_commonest)
DECISIONS = Task(
    "yes_no",
    "Yes or no",
    BALANCED,
    _decisions,
    one_by_one(judge_decision),
    guess=lambda items: 50.0 if items else None,
)
CHOICES = Task(
    "choices",
    "Multiple choice by likelihood",
    (_CHOICE, _CHOICE_BY_LENGTH),
    _choices,
    one_by_one(judge_choice),
    guess=_even_chance,
    by_likelihood=True,
)
LABELS = Task("labels", "Naming the thing", (*OPEN, _COARSE), _labels, one_by_one(_judge_label), guess=_commonest)
LABEL_CHOICES = Task(
    "label_choices",
    "Choosing the label by likelihood",
    (_CHOICE, _CHOICE_BY_LENGTH),
    _label_choices,
    one_by_one(judge_choice),
    guess=_even_chance,
    by_likelihood=True,
)
