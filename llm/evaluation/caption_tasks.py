"""Tasks from captions: describing, and questions whose answers the captions give."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from lorgnette.llm.evaluation.answers import Answer
from lorgnette.llm.evaluation.balance import balanced
from lorgnette.llm.evaluation.bleu import ORDERS, bleu_counts
from lorgnette.llm.evaluation.caption_questions import balanced_presence, short_questions
from lorgnette.llm.evaluation.cider import cider_d
from lorgnette.llm.evaluation.matching import answer_group
from lorgnette.llm.evaluation.question_tasks import BALANCED, OPEN, judge_decision, judge_open
from lorgnette.llm.evaluation.record import Photo
from lorgnette.llm.evaluation.statistics import Figure
from lorgnette.llm.evaluation.task import Item, Judgement, Outcome, Task, one_by_one

DESCRIBE = "Describe the picture."
_PER_OBJECT = 12  # yes and no questions for each thing that can be asked for
_CIDER = Figure("CIDEr-D x 100", unit="")
_BLEU = tuple(Figure(f"BLEU-{n} x 100", f"bleu{n}", unit="") for n in range(1, ORDERS + 1))


def _captioned(photos: Sequence[Photo]) -> list[Photo]:
    return [photo for photo in photos if photo.captions and photo.usable]


def _captions(photos: Sequence[Photo], seed: int) -> list[Item]:
    return [Item(photo, DESCRIBE, photo.captions) for photo in _captioned(photos)]


def _judge_captions(items: Sequence[Item], answers: Sequence[Answer]) -> list[Judgement]:
    scores = cider_d([answer.text for answer in answers], [item.answers for item in items])
    judgements = []
    for item, answer, score in zip(items, answers, scores, strict=True):
        counts = bleu_counts(answer.text, item.answers)
        stats = {_CIDER.name: (score, 1.0)} | {figure.name: counts for figure in _BLEU}
        judgements.append(Judgement(Outcome.NONE, stats))
    return judgements


def _presence(photos: Sequence[Photo], seed: int) -> list[Item]:
    shown = _captioned(photos)
    if not shown:
        return []
    asked = balanced_presence([photo.captions for photo in shown], _PER_OBJECT, random.Random(seed))
    return [
        Item(photo, question.text, question.answers, question.answers[0].strip(".").lower())
        for photo, questions in zip(shown, asked, strict=True)
        for question in questions
    ]


def _details(kind: str) -> Callable[[Sequence[Photo], int], list[Item]]:
    def items(photos: Sequence[Photo], seed: int) -> list[Item]:
        asked = [
            Item(photo, question.text, question.answers, answer_group(question.answers[0], kind))
            for photo in _captioned(photos)
            for question in short_questions(photo.captions)
            if question.kind == kind
        ]
        return balanced(asked, lambda item: item.kind, random.Random(f"{seed} {kind}"))

    return items


def _commonest(items: Sequence[Item]) -> float | None:
    counts = Counter(item.kind for item in items)
    return 100 * max(counts.values()) / counts.total() if counts else None


def _detail_task(name: str, title: str, kind: str) -> Task:
    return Task(name, title, OPEN, _details(kind), one_by_one(judge_open(kind)), guess=_commonest)


CAPTIONS = Task("captions", "Describing the picture", (_CIDER, *_BLEU), _captions, _judge_captions)
PRESENCE = Task(
    "presence",
    "Is it there? (every thing asked as often with yes as with no)",
    BALANCED,
    _presence,
    one_by_one(judge_decision),
    guess=lambda items: 50.0 if items else None,
)
COLOURS = _detail_task("colours", "Colours, from captions, answers balanced", "colour")
COUNTS = _detail_task("counts", "Counts, from captions, answers balanced", "count")
ACTIVITIES = _detail_task("activities", "Activities, from captions, verbs balanced", "activity")
