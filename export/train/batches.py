"""The batches of a run, made ahead of the steps that need them: what is shown, how, and the packed lessons."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lorgnette.export.train.courses import Mixture, Slot
from lorgnette.export.train.lessons import Lesson
from lorgnette.export.train.packing import PackedPhoto, Packer
from lorgnette.export.train.pictures import View, random_view

_SIDES = ("left", "right")
_AHEAD = 4  # batches a process may be in front


@dataclass(frozen=True, slots=True)
class Batch:
    """The `lessons` of a step and their `packed` form, and the view of each picture."""

    views: list[View]
    lessons: list[list[Lesson]]
    packed: list[PackedPhoto]


class BatchMaker:
    """Makes the batch of any step: the same from the same `seed`, whoever makes it."""

    def __init__(self, mixture: Mixture, packer: Packer, seed: int) -> None:
        self._mixture, self._packer, self._seed = mixture, packer, seed

    def slots(self, step: int) -> list[Slot]:
        return self._mixture.slots(step)

    def lessons(self, step: int) -> list[list[Lesson]]:
        rng = random.Random(f"{self._seed} step {step}")
        return [slot.lessons(rng) for slot in self.slots(step)]

    def make(self, step: int) -> Batch:
        lessons = self.lessons(step)
        rng = random.Random(f"{self._seed} views {step}")
        views = [
            random_view(rng, mirror=not _names_a_side(each), crop=slot.course.crop)
            for slot, each in zip(self.slots(step), lessons, strict=True)
        ]
        return Batch(views, lessons, [self._packer.pack(each) for each in lessons])

    def ahead(self, steps: range, workers: int) -> Iterator[Batch]:
        """The batches of `steps` in order, made by `workers` other processes (0: by this one, each when asked for)."""
        if not workers:
            yield from map(self.make, steps)
            return
        # Forked, so that pictures and lessons are shared and not copied; the others touch neither GPU nor threads.
        with multiprocessing.get_context("fork").Pool(workers, _inherit, (self,)) as pool:
            size = workers * _AHEAD
            waiting = [pool.apply_async(_make, (step,)) for step in steps[:size]]
            for number in range(len(steps)):
                batch = waiting.pop(0).get()
                if number + size < len(steps):
                    waiting.append(pool.apply_async(_make, (steps[number + size],)))
                yield batch


_maker: BatchMaker


def _inherit(maker: BatchMaker) -> None:
    global _maker
    _maker = maker


def _make(step: int) -> Batch:
    return _maker.make(step)


def _names_a_side(lessons: Sequence[Lesson]) -> bool:
    """Whether a mirrored picture would make one of the lessons wrong."""
    return any(
        side in text.lower()
        for lesson in lessons
        for text in (lesson.question, *lesson.answers, *lesson.wrong)
        for side in _SIDES
    )
