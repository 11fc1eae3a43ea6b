"""Courses: data sets with their teachers and features, and the mixture that says who is shown what at each step."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from lorgnette.device.errors import InputError
from lorgnette.export.legacy_checkpoint import read_legacy_checkpoint
from lorgnette.export.train.features import BAD_VIEWS, GOOD_VIEWS, View, encode_photos, from_bytes
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
from lorgnette.export.train.reading_lessons import LineWriter, ReadingTeacher
from lorgnette.export.train.recipe import Recipe
from lorgnette.llm.evaluation.dataset import Photo, PhotoSet

READING, ABSTENTION, NAMING = "reading", "abstention", "naming"
_SPOILT = 700  # photographs that are also shown dark, blurred and blank
_REASONS = ("it is too dark", "it is too blurred", "I see only a plain surface")


@dataclass(frozen=True, slots=True)
class Course:
    """`features` int8 [photos, views, cells, channels] of `photos`, and who teaches about them."""

    name: str
    photos: Sequence[Photo]
    features: npt.NDArray[np.int8]
    teach: Teacher

    def cells(self, shown: Showing) -> npt.NDArray[np.float32]:
        """float32 [cells, channels]."""
        return from_bytes(self.features[shown.place, shown.view])


@dataclass(frozen=True, slots=True)
class Slot:
    """One photograph of a batch."""

    course: Course
    shown: Showing

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
        name = self._period[place]
        seen = period * self._period.count(name) + self._rank[place]
        return one_slot(self._courses[name], seen, self._seed, self._orders)


def one_slot(course: Course, seen: int, seed: int, orders: dict[tuple[str, int], list[int]]) -> Slot:
    """The photograph that `course` shows after `seen` others. `orders` remembers the order of each turn."""
    turn, place = divmod(seen, len(course.photos))
    key = (course.name, turn)
    if key not in orders:
        orders[key] = random.Random(f"{seed} {course.name} {turn}").sample(
            range(len(course.photos)), len(course.photos)
        )
    row = orders[key][place]
    view = random.Random(f"{seed} view {course.name} {row}").randrange(course.features.shape[1])
    return Slot(course, Showing(row, (view + turn) % course.features.shape[1], turn))


class Library:
    """The data sets of a run, encoded in `folder`."""

    def __init__(self, paths: Sequence[Path], encoder: Path, folder: Path, threads: int, recipe: Recipe) -> None:
        self._sets = [PhotoSet(path) for path in paths]
        self._encoder, self._folder, self._threads, self._recipe = encoder, folder, threads, recipe

    def courses(self, tokenizer: Tokenizer) -> list[Course]:
        """All data sets' train splits; a course in naming things made of the first with questions, and courses in
        reading and abstention made of the first with captions."""
        courses = [self._course(photos, "train", GOOD_VIEWS) for photos in self._sets]
        courses += [self._naming(course) for course in courses if isinstance(course.teach, QuestionTeacher)][:1]
        captioned = next((course for course in courses if course.photos[0].captions), None)
        if captioned is None:
            return courses
        reader = ReadingTeacher(captioned.teach, LineWriter(tokenizer))
        courses.append(Course(READING, captioned.photos, captioned.features, reader))
        photos = next(each for each in self._sets if each.photos[0].captions)
        rows = _rows(photos, "train")[:_SPOILT]
        spoilt = self._encode(photos, rows, BAD_VIEWS, ABSTENTION)
        teacher = AbstentionTeacher(captioned.teach, _REASONS)
        courses.append(Course(ABSTENTION, captioned.photos[: len(rows)], spoilt, teacher))
        return courses

    def _naming(self, course: Course) -> Course:
        namer = Namer(read_legacy_checkpoint(self._encoder))
        teacher = NamingTeacher(course.teach, namer, lambda shown: course.features[shown.place, shown.view])
        return Course(NAMING, course.photos, course.features, teacher)

    def dev(self) -> list[Course]:
        return [self._course(photos, "dev", GOOD_VIEWS[:1]) for photos in self._sets if _rows(photos, "dev")]

    def _course(self, photos: PhotoSet, split: str, views: Sequence[View]) -> Course:
        rows = _rows(photos, split)
        if not rows:
            raise InputError(
                f"{photos.path} has no photographs of the split {split!r}", "name the split in index.jsonl"
            )
        chosen = [photos.photos[row] for row in rows]
        features = self._encode(photos, rows, views, split)
        return Course(photos.name, chosen, features, self._teacher(chosen))

    def _encode(self, photos: PhotoSet, rows: Sequence[int], views: Sequence[View], name: str) -> npt.NDArray[np.int8]:
        out = self._folder / f"{photos.name}-{name}.npy"
        return encode_photos(photos, rows, views, self._encoder, out, self._threads)

    def _teacher(self, photos: Sequence[Photo]) -> Teacher:
        if photos[0].captions:
            return CaptionTeacher(photos, self._recipe.presence_per_object, self._recipe.seed)
        if photos[0].qa:
            return QuestionTeacher(photos)
        return LabelTeacher(photos)


def _rows(photos: PhotoSet, split: str) -> list[int]:
    return [row for row, photo in enumerate(photos.photos) if photo.split == split]
