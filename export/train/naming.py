"""Names of a thousand kinds of things, from the image encoder's own classifier.

The encoder was trained to name the 1,000 classes of ImageNet (O. Russakovsky et al., "ImageNet Large Scale Visual
Recognition Challenge", 2015), and its last layer still can: applied to the mean of the features over a part of the
picture, it names what is there. What it is sure of becomes a lesson, so that the language model learns words that the
captions never use (`imagenet_classes.txt`: first names of the WordNet 3.0 synsets, in ImageNet's order).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track

from lorgnette.export.train.encoder import Encoder
from lorgnette.export.train.lessons import Lesson, Showing, Teacher
from lorgnette.export.train.pictures import WHOLE, Pixels, show
from lorgnette.llm.evaluation.caption_questions import presence_question, with_article

_SURE = 0.4
_UNLIKELY = 0.001
# Edges (top, bottom, left, right) of the parts of a picture, as shares of its sides.
_REGIONS = {
    "": (0.2, 0.8, 0.2, 0.8),
    "in the picture": (0.0, 1.0, 0.0, 1.0),
    "on the left": (0.0, 1.0, 0.0, 0.5),
    "on the right": (0.0, 1.0, 0.5, 1.0),
}
_WHAT = ("What is this?", "What am I looking at?", "What is in front of me?", "What object is this?")
_WHERE = ("What is {}?", "What can you see {}?", "What object is {}?")
_BATCH = 8


@dataclass(frozen=True, slots=True)
class Named:
    """What stands in a region ("": the middle) of the picture."""

    region: str
    name: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the classifier is sure of in a picture, and the places of `Namer.names` that are nowhere in it."""

    sure: tuple[Named, ...]
    unlikely: npt.NDArray[np.int64]


class Namer:
    """The classifier on top of `encoder`, as it is before any training; `weights` is the encoder's state dict."""

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], encoder: Encoder, device: torch.device) -> None:
        self._weight, self._bias = weights["_fc.weight"], weights["_fc.bias"]
        self._encoder, self._device = encoder, device
        listed = Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8")
        self.names = listed.split("\n")[: len(self._bias)]

    @torch.no_grad()
    def look_at(self, pictures: Pixels) -> list[Look]:
        """A look at each of `pictures` [N, H, W, 3]."""
        looks: list[Look] = []
        for start in track(range(0, len(pictures), _BATCH), "naming things"):
            batch = pictures[start : start + _BATCH]
            cells = self._encoder(show(batch, [WHOLE] * len(batch), self._device))
            looks += [self.look(each) for each in cells[..., : self._weight.shape[1]].cpu().numpy()]
        return looks

    def look(self, cells: npt.NDArray[np.float32]) -> Look:
        """A look at a picture by the head's channels in float32 `cells` [cells, channels], rows first."""
        side = round(len(cells) ** 0.5)
        grid = cells.reshape(side, side, -1)
        parts = [[round(edge * side) for edge in edges] for edges in _REGIONS.values()]
        means = np.stack([grid[top:bottom, left:right].mean((0, 1)) for top, bottom, left, right in parts])
        logits = means @ self._weight.T + self._bias
        chances = np.exp(logits - logits.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        sure = [
            Named(region, self.names[row.argmax()])
            for region, row in zip(_REGIONS, chances, strict=True)
            if row.max() > _SURE
        ]
        return Look(tuple(sure), np.flatnonzero(chances.max(0) < _UNLIKELY))


class NamingTeacher:
    """Lessons in naming what `namer` was sure of in its `looks` at the pictures, before those of `ask`."""

    def __init__(self, ask: Teacher, namer: Namer, looks: Sequence[Look]) -> None:
        self._ask, self._names, self._looks = ask, namer.names, looks

    def __call__(self, shown: Showing, rng: random.Random) -> list[Lesson]:
        look = self._looks[shown.place]
        lessons = []
        for named in {one.name: one for one in reversed(look.sure)}.values():
            question = rng.choice(_WHERE).format(named.region) if named.region else rng.choice(_WHAT)
            wrong = tuple(_said(self._names[i]) for i in rng.sample(look.unlikely.tolist(), 3))
            lessons.append(Lesson("label", question, (_said(named.name),), wrong=wrong))
            absent = self._names[rng.choice(look.unlikely.tolist())]
            lessons.append(Lesson("presence", presence_question(named.name, rng), ("Yes.",)))
            lessons.append(Lesson("presence", presence_question(absent, rng), ("No.",)))
        return [*lessons, *self._ask(shown, rng)]


def _said(name: str) -> str:
    named = with_article(name).removeprefix("any ")
    return f"{named[:1].upper()}{named[1:]}."
