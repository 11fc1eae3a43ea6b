"""Early figures while training goes on: small, on the dev split, from the weights as they are in training."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lorgnette.export.train.courses import Course, Slot
from lorgnette.export.train.lessons import Lesson, Showing
from lorgnette.export.train.pictures import WHOLE
from lorgnette.llm.evaluation.caption_questions import DESCRIBE
from lorgnette.llm.evaluation.cider import CiderScorer

if TYPE_CHECKING:
    from lorgnette.export.train.trainer import Trainer

_BATCH = 8


class Examination:
    """`sit` gives, for the first `count` photographs of each of `dev`, CIDEr-D x 100 of greedy captions, the losses,
    and how often the right answer is the likeliest among its wrong ones."""

    def __init__(self, trainer: Trainer, dev: Sequence[Course], count: int, seed: int) -> None:
        self._trainer = trainer
        self._dev = dev
        self._count = count
        self._seed = seed

    @torch.no_grad()
    def sit(self) -> dict[str, float]:
        figures: dict[str, float] = {}
        for course in self._dev:
            if course.photos[0].captions:
                figures["dev_cider"] = self._captions(course)
            figures |= self._losses(course)
        return {name: round(value, 4) for name, value in figures.items()}

    def _slots(self, course: Course) -> list[Slot]:
        return [Slot(course, Showing(place, 0)) for place in range(min(self._count, len(course.photos)))]

    def _captions(self, course: Course) -> float:
        said: list[str] = []
        slots = self._slots(course)
        for start in range(0, len(slots), 8 * _BATCH):
            images = self._images(slots[start : start + 8 * _BATCH])
            said += [texts[0] for texts in self._trainer.speaker.say(images, DESCRIBE[0])]
        scorer = CiderScorer([photo.captions for photo in course.photos])
        scores = [scorer.score(text, slot.photo.captions) for text, slot in zip(said, slots, strict=True)]
        return 100 * float(np.mean(scores))

    def _images(self, slots: Sequence[Slot]) -> Tensor:
        return self._trainer.images(slots, [WHOLE] * len(slots))

    def _losses(self, course: Course) -> dict[str, float]:
        found: dict[str, list[float]] = defaultdict(list)
        slots = self._slots(course)
        for start in range(0, len(slots) - _BATCH + 1, _BATCH):
            batch = slots[start : start + _BATCH]
            rng = random.Random(f"{self._seed} examination {start}")
            lessons: list[list[Lesson]] = [slot.lessons(rng) for slot in batch]
            packed = [self._trainer.pack(each) for each in lessons]
            result = self._trainer.losses(self._images(batch), packed, np.random.default_rng(start))
            for name, value in result.figures().items():
                found[name].append(float(value))
        return {f"dev_{course.name}_{name}": float(np.mean(values)) for name, values in found.items()}
