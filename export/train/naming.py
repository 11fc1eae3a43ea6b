"""Names of a thousand kinds of things, from the image encoder's own classifier.

The encoder was trained to name the 1,000 classes of ImageNet (O. Russakovsky et al., "ImageNet Large Scale Visual
Recognition Challenge", 2015), and its last layer still can: applied to the mean of the features over a part of the
picture, it names what is there. What it is sure of becomes a lesson, so that the language model learns words that the
captions never use (`imagenet_classes.txt`: first names of the WordNet 3.0 synsets, in ImageNet's order).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lorgnette.export.train.features import CELLS, from_bytes
from lorgnette.export.train.lessons import Lesson, Showing, Teacher
from lorgnette.llm.evaluation.caption_questions import presence_question, with_article

_SIDE = round(CELLS**0.5)
_SURE = 0.4
_UNLIKELY = 0.001
_REGIONS: dict[str, tuple[slice, slice]] = {
    "": (slice(2, 8), slice(2, 8)),
    "in the picture": (slice(None), slice(None)),
    "on the left": (slice(None), slice(0, 5)),
    "on the right": (slice(None), slice(5, 10)),
}
_WHAT = ("What is this?", "What am I looking at?", "What is in front of me?", "What object is this?")
_WHERE = ("What is {}?", "What can you see {}?", "What object is {}?")


@dataclass(frozen=True, slots=True)
class Named:
    """What stands in a region ("": the middle) of the picture."""

    region: str
    name: str


class Namer:
    """The classifier on top of the encoder's features."""

    def __init__(self, encoder: Mapping[str, npt.NDArray[Any]]) -> None:
        self._weight, self._bias = encoder["_fc.weight"], encoder["_fc.bias"]
        listed = Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8")
        self.names = listed.split("\n")[: len(self._bias)]

    def look(self, cells: npt.NDArray[np.float32]) -> tuple[list[Named], npt.NDArray[np.float32]]:
        """What it is sure of in float32 `cells` [cells, channels], and the highest chance of each class anywhere."""
        grid = cells[:, : self._weight.shape[1]].reshape(_SIDE, _SIDE, -1)
        means = np.stack([grid[rows, columns].mean((0, 1)) for rows, columns in _REGIONS.values()])
        logits = means @ self._weight.T + self._bias
        chances = np.exp(logits - logits.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        sure = [
            Named(region, self.names[row.argmax()])
            for region, row in zip(_REGIONS, chances, strict=True)
            if row.max() > _SURE
        ]
        return sure, chances.max(0)


class NamingTeacher:
    """Lessons in naming what `namer` is sure of in a picture (`cells` gives its features), before those of `ask`."""

    def __init__(self, ask: Teacher, namer: Namer, cells: Callable[[Showing], npt.NDArray[np.int8]]) -> None:
        self._ask, self._namer, self._cells = ask, namer, cells

    def __call__(self, shown: Showing, rng: random.Random) -> list[Lesson]:
        sure, chances = self._namer.look(from_bytes(self._cells(shown)))
        unlikely = np.flatnonzero(chances < _UNLIKELY)
        lessons = []
        for named in {one.name: one for one in reversed(sure)}.values():
            question = rng.choice(_WHERE).format(named.region) if named.region else rng.choice(_WHAT)
            wrong = tuple(_said(self._namer.names[i]) for i in rng.sample(unlikely.tolist(), 3))
            lessons.append(Lesson("label", question, (_said(named.name),), wrong=wrong))
            absent = self._namer.names[rng.choice(unlikely.tolist())]
            lessons.append(Lesson("presence", presence_question(named.name, rng), ("Yes.",)))
            lessons.append(Lesson("presence", presence_question(absent, rng), ("No.",)))
        return [*lessons, *self._ask(shown, rng)]


def _said(name: str) -> str:
    named = with_article(name).removeprefix("any ")
    return f"{named[:1].upper()}{named[1:]}."
