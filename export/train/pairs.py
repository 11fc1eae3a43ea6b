"""Two photographs as one picture, side by side or one above the other: what each teaches, and what they teach together.

A few thousand photographs make millions of pairs, in which nothing can be known by heart: a question about one half is
about its things among those of the other, and numbers add up.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from lorgnette.export.train.lessons import Lesson, Showing
from lorgnette.export.train.pictures import Pictures, Pixels
from lorgnette.llm.evaluation.caption_questions import (
    Question,
    clean_caption,
    objects_in,
    presence_question,
    short_questions,
    taught_questions,
)
from lorgnette.llm.evaluation.dataset import Photo

_BESIDE, _ABOVE = ("on the left", "on the right"), ("at the top", "at the bottom")
_WHAT = ("What is {}?", "What can you see {}?", "What do you see {}?")
_NUMBERS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight")
_ANIMALS = {"dogs": "dog", "horses": "horse", "birds": "bird"}
_SHORT_AT_MOST, _PRESENCE_AT_MOST = 4, 2
_NAMES_A_PLACE = re.compile(r"\b(left|right|top|bottom)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two places among the photographs; the second picture is right of the first, or with `stacked` under it."""

    first: int
    second: int
    stacked: bool


def draw_pairs(photos: Sequence[Photo], count: int, seed: int) -> list[Pair]:
    """`count` pairs, in half of which the same thing is counted in both photographs, so that its numbers add up."""
    rng = random.Random(f"{seed} pairs")
    counting: dict[str, list[int]] = {}
    for place, photo in enumerate(photos):
        for question in short_questions(photo.captions):
            if question.kind == "count":
                counting.setdefault(question.text, []).append(place)
    counted = [places for places in counting.values() if len(places) > 1]
    out = []
    for number in range(count):
        places: Sequence[int] = range(len(photos))
        if counted and number % 2:
            places = rng.choices(counted, [len(each) ** 0.5 for each in counted])[0]
        first, second = rng.sample(places, 2)
        out.append(Pair(first, second, rng.random() < 0.5))
    return out


class PairedPictures(Sequence[Pixels]):
    """The pictures of `pairs` of `pictures`, as large as those, made when they are shown."""

    def __init__(self, pictures: Pictures, pairs: Sequence[Pair]) -> None:
        self._pictures, self._pairs = pictures, pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, place: int) -> Pixels:  # type: ignore[override]  # there are no slices of it
        pair = self._pairs[place]
        height, width, _ = self._pictures[pair.first].shape
        size = (width, height // 2) if pair.stacked else (width // 2, height)
        halves = [cv2.resize(self._pictures[p], size, interpolation=cv2.INTER_AREA) for p in (pair.first, pair.second)]
        return np.concatenate(halves, axis=0 if pair.stacked else 1).astype(np.uint8)


class PairTeacher:
    """Lessons about `pairs` of captioned `photos`."""

    def __init__(self, photos: Sequence[Photo], pairs: Sequence[Pair]) -> None:
        self._written = [photo.captions for photo in photos]
        self._short = [taught_questions(texts) for texts in self._written]
        self._objects = [objects_in(texts) for texts in self._written]
        self._pairs = pairs

    def __call__(self, shown: Showing, rng: random.Random) -> list[Lesson]:
        pair = self._pairs[shown.place]
        halves = (pair.first, pair.second)
        sides = _ABOVE if pair.stacked else _BESIDE
        here, there = rng.sample((0, 1), 2)
        captions = [
            caption for caption in map(clean_caption, self._written[halves[here]]) if not _NAMES_A_PLACE.search(caption)
        ]
        lessons = list(self._sums(*halves))
        if captions:
            question = rng.choice(_WHAT).format(sides[here])
            lessons.append(Lesson("half", question, (rng.choice(captions),)))
        short = [
            Lesson(question.kind, _at(question.text, side), question.answers)
            for place, side in zip(halves, sides, strict=True)
            for question in self._short[place]
        ]
        lessons += rng.sample(short, min(_SHORT_AT_MOST, len(short)))
        presence = [*self._presence(halves[here], halves[there], sides[here], rng), *self._either(*halves, rng)]
        return [*lessons, *rng.sample(presence, min(_PRESENCE_AT_MOST, len(presence)))]

    def _sums(self, first: int, second: int) -> Iterable[Lesson]:
        """How many there are in both, of what is counted in both, or counted in one where nobody sees any in the
        other."""
        counts = [{q.text: _number(q) for q in self._short[p] if q.kind == "count"} for p in (first, second)]
        for question in dict.fromkeys((*counts[0], *counts[1])):
            numbers = [each.get(question) for each in counts]
            if None not in numbers and (total := sum(n for n in numbers if n)) < len(_NUMBERS):
                yield Lesson("count", question, (f"{_NUMBERS[total].capitalize()}.",))
            elif None in numbers and not self._may_show(question, (first, second)[numbers.index(None)]):
                known = next(n for n in numbers if n)
                yield Lesson("count", question, (f"{_NUMBERS[known].capitalize()}.",))

    def _may_show(self, question: str, place: int) -> bool:
        """Whether anybody speaks of such a thing there. Whoever rides or plays may be a man, a woman or a child."""
        things = question.removeprefix("How many ").split()[0]
        _, mentioned = self._objects[place]
        return _ANIMALS.get(things, "person") in mentioned

    def _presence(self, here: int, there: int, side: str, rng: random.Random) -> list[Lesson]:
        """Is it on this side: something that is, and something that is only on the other."""
        sure, mentioned = self._objects[here]
        other, _ = self._objects[there]
        return [
            replace(lesson, question=_at(lesson.question, side)) for lesson in _yes_and_no(sure, other - mentioned, rng)
        ]

    def _either(self, first: int, second: int, rng: random.Random) -> list[Lesson]:
        """Is it anywhere: something that is, and something that is in another photograph only."""
        sure = self._objects[first][0] | self._objects[second][0]
        mentioned = self._objects[first][1] | self._objects[second][1]
        elsewhere = self._objects[rng.randrange(len(self._objects))][0] - mentioned
        return _yes_and_no(sure, elsewhere, rng)


def _yes_and_no(shown: set[str], absent: set[str], rng: random.Random) -> list[Lesson]:
    """Is there a thing, asked of one of each kind, where there is one."""
    return [
        Lesson("presence", presence_question(rng.choice(sorted(names)), rng), (answer,))
        for names, answer in ((shown, "Yes."), (absent, "No."))
        if names
    ]


def _at(question: str, side: str) -> str:
    """The question about one side only."""
    if question.endswith(" doing?"):
        return f"{question.removesuffix(' doing?')} {side} doing?"
    return f"{question.removesuffix('?').removesuffix(' in the picture').removesuffix(' in this photo')} {side}?"


def _number(question: Question) -> int:
    return _NUMBERS.index(question.answers[0].strip(".").lower())
