"""Courses: data sets with their teachers and pictures, and the mixture that says who is shown what at each step."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from lorgnette.device.errors import InputError
from lorgnette.export.train.lessons import (
    AbstentionTeacher,
    CaptionTeacher,
    LabelTeacher,
    Lesson,
    QuestionTeacher,
    Showing,
    Teacher,
)
from lorgnette.export.train.naming import Namer, NamingTeacher
from lorgnette.export.train.pairs import PairedPictures, PairTeacher, draw_pairs
from lorgnette.export.train.pictures import Pictures, Pixels, blank, blurred, darkened, load_pictures
from lorgnette.export.train.reading_lessons import LineWriter, ReadingTeacher
from lorgnette.export.train.recipe import Recipe
from lorgnette.llm.evaluation.dataset import Photo, PhotoSet

READING, ABSTENTION, NAMING, PAIRS = "reading", "abstention", "naming", "pairs"
_PAIRS_A_PHOTO = 4
_SPOILT = 700  # photographs that are also shown dark, blurred and blank
_REASONS = {darkened: "it is too dark", blurred: "it is too blurred", blank: "I see only a plain surface"}


@dataclass(frozen=True, slots=True)
class Course:
    """`pictures` of `photos`, and who teaches about them; without `crop` always the whole picture."""

    name: str
    photos: Sequence[Photo]
    pictures: Pictures
    teach: Teacher
    crop: bool = True


@dataclass(frozen=True, slots=True)
class Slot:
    """One photograph of a batch."""

    course: Course
    shown: Showing

    @property
    def picture(self) -> Pixels:
        picture: Pixels = self.course.pictures[self.shown.place]
        return picture

    @property
    def photo(self) -> Photo:
        return self.course.photos[self.shown.place]

    def lessons(self, rng: random.Random) -> list[Lesson]:
        return self.course.teach(self.shown, rng)


class Mixture:
    """Which photographs make up each batch, by step alone: every course goes through its photos turn by turn, in an
    order of its own, and `shares` says how often each has its go."""

    def __init__(self, courses: Sequence[Course], shares: Mapping[str, int], batch: int, seed: int) -> None:
        self._courses = {course.name: course for course in courses}
        missing = [name for name in shares if name not in self._courses]
        if missing:
            raise InputError(f"the mixture names {missing[0]!r}", f"choose from {', '.join(self._courses)}")
        self._period = [name for name, share in shares.items() for _ in range(share)]
        random.Random(f"{seed} mixture").shuffle(self._period)
        self._rank = [self._period[:i].count(name) for i, name in enumerate(self._period)]
        self._batch, self._seed = batch, seed
        self._orders: dict[tuple[str, int], list[int]] = {}

    def slots(self, step: int) -> list[Slot]:
        return [self._slot(step * self._batch + i) for i in range(self._batch)]

    def _slot(self, number: int) -> Slot:
        period, place = divmod(number, len(self._period))
        course = self._courses[self._period[place]]
        turn, place = divmod(period * self._period.count(course.name) + self._rank[place], len(course.photos))
        return Slot(course, Showing(self._order(course, turn)[place], turn))

    def _order(self, course: Course, turn: int) -> list[int]:
        key = (course.name, turn)
        if key not in self._orders:
            rows = range(len(course.photos))
            self._orders[key] = random.Random(f"{self._seed} {course.name} {turn}").sample(rows, len(rows))
        return self._orders[key]


class Library:
    """The data sets of a run, opened one by one."""

    def __init__(self, paths: Sequence[Path], recipe: Recipe) -> None:
        self._sets = [PhotoSet(path) for path in paths]
        self._recipe = recipe

    def courses(self, tokenizer: Tokenizer, namer: Namer) -> list[Course]:
        """All data sets' train splits; a course in naming things made of the first with questions, and courses in
        reading, abstention and pairs made of the first with captions."""
        courses = [self._course(photos, "train") for photos in self._sets]
        asked = next((course for course in courses if isinstance(course.teach, QuestionTeacher)), None)
        if asked and NAMING in self._recipe.mixture:
            teacher = NamingTeacher(asked.teach, namer, namer.look_at(asked.pictures))
            courses.append(Course(NAMING, asked.photos, asked.pictures, teacher))
        captioned = next((course for course in courses if course.photos[0].captions), None)
        if captioned:
            reader = ReadingTeacher(captioned.teach, LineWriter(tokenizer))
            courses.append(Course(READING, captioned.photos, captioned.pictures, reader))
            courses.append(_spoilt(captioned))
            if PAIRS in self._recipe.mixture:
                courses.append(_paired(captioned, self._recipe.seed))
        return courses

    def dev(self) -> list[Course]:
        return [self._course(photos, "dev") for photos in self._sets if _rows(photos, "dev")]

    def _course(self, photos: PhotoSet, split: str) -> Course:
        rows = _rows(photos, split)
        if not rows:
            raise InputError(
                f"{photos.path} has no photographs of the split {split!r}", "name the split in index.jsonl"
            )
        chosen = [photos.photos[row] for row in rows]
        return Course(photos.name, chosen, load_pictures(photos, rows), self._teacher(chosen))

    def _teacher(self, photos: Sequence[Photo]) -> Teacher:
        if photos[0].captions:
            recipe = self._recipe
            return CaptionTeacher(photos, recipe.presence_per_object, recipe.seed, captions=recipe.captions)
        if photos[0].qa:
            return QuestionTeacher(photos)
        return LabelTeacher(photos)


def _spoilt(course: Course) -> Course:
    """The first photographs of `course`, dark, blurred and blank."""
    count = min(_SPOILT, len(course.photos))
    pictures = [spoil(course.pictures[place], random.Random(place)) for place in range(count) for spoil in _REASONS]
    photos = [course.photos[place] for place in range(count) for _ in _REASONS]

    def ask(shown: Showing, rng: random.Random) -> list[Lesson]:
        return course.teach(Showing(shown.place // len(_REASONS), shown.turn), rng)

    return Course(ABSTENTION, photos, np.stack(pictures), AbstentionTeacher(ask, [*_REASONS.values()] * count))


def _paired(course: Course, seed: int) -> Course:
    pairs = draw_pairs(course.photos, _PAIRS_A_PHOTO * len(course.photos), seed)
    photos = [course.photos[pair.first] for pair in pairs]
    return Course(PAIRS, photos, PairedPictures(course.pictures, pairs), PairTeacher(course.photos, pairs), crop=False)


def _rows(photos: PhotoSet, split: str) -> list[int]:
    return [row for row, photo in enumerate(photos.photos) if photo.split == split]
