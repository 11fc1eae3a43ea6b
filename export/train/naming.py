"""Everyday names of things, from the image encoder's own classifier.

The encoder was trained to name the 1,000 classes of ImageNet (O. Russakovsky et al., "ImageNet Large Scale Visual
Recognition Challenge", 2015), and its last layer still can: applied to the mean of the features over a part of the
picture, it names what is there. What it is sure of becomes a lesson, so that the language model learns words that the
captions never use. `imagenet_classes.txt` has the classes in ImageNet's order by the first names of their WordNet 3.0
synsets, and after a tab what people would say, where that is something else: a dog, and not a Norwich terrier.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from lorgnette.device.frame import Frame
from lorgnette.device.session import OnnxSession
from lorgnette.export.embedded import PREPROCESSING
from lorgnette.export.encoder_graph import encoder_model
from lorgnette.export.train.lessons import Lesson, Showing, Teacher, named
from lorgnette.export.train.pictures import Pictures
from lorgnette.llm.evaluation.caption_questions import presence_question
from lorgnette.llm.preprocessing import preprocessor

_SURE = 0.4
_UNLIKELY = 0.001
_ANIMALS = 398  # the first of the classes
# Edges (top, bottom, left, right) of the parts of a picture, as shares of its sides.
_REGIONS = {
    "": (0.2, 0.8, 0.2, 0.8),
    "in the picture": (0.0, 1.0, 0.0, 1.0),
    "on the left": (0.0, 1.0, 0.0, 0.5),
    "on the right": (0.0, 1.0, 0.5, 1.0),
}
_WHAT = ("What is this?", "What am I looking at?", "What is in front of me?", "What object is this?")
_WHERE = ("What is {}?", "What can you see {}?", "What object is {}?")
_WHAT_ANIMAL = ("What animal is this?", "What animal is that?", "What kind of animal is this?")


@dataclass(frozen=True, slots=True)
class Named:
    """What stands in a region ("": the middle) of the picture; its `breed` if that is sure and another word."""

    region: str
    name: str
    breed: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What the classifier is sure of in a picture, and the places of `Namer.names` that are nowhere in it."""

    sure: tuple[Named, ...]
    unlikely: npt.NDArray[np.int64]


class Namer:
    """The encoder with its classifier, as they are before any training; `weights` is their state dict."""

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        self._weight, self._bias = weights["_fc.weight"], weights["_fc.bias"]
        self._weights = weights
        listed = Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8")
        classes = [line.partition("\t") for line in listed.split("\n")[: len(self._bias)]]
        self._synsets = [synset for synset, _, _ in classes]
        everyday = [name or synset for synset, _, name in classes]
        self.names = list(dict.fromkeys(everyday))
        self.animals = frozenset(everyday[:_ANIMALS])
        self._name_of = np.array([self.names.index(name) for name in everyday])
        self._called = (self._name_of[:, None] == np.arange(len(self.names))).astype(np.float32)

    def look_at(self, pictures: Pictures) -> list[Look]:
        """A look at each of `pictures`."""
        # On ONNX Runtime, since PyTorch takes one and a half to two times as long for it on a CPU.
        graph = encoder_model(self._weights, PREPROCESSING.width).SerializeToString()
        encoder, prepare = OnnxSession(Path("encoder.onnx"), content=graph), preprocessor(PREPROCESSING)
        looks: list[Look] = []
        for place in track(range(len(pictures)), "naming things"):
            pixels = prepare.normalise(prepare.resize(Frame(pictures[place])))
            features = encoder.run({"pixel_values": pixels})["features"][0, : self._weight.shape[1]]
            looks.append(self.look(features.reshape(len(features), -1).T))
        return looks

    def look(self, cells: npt.NDArray[np.float32]) -> Look:
        """A look at a picture by the head's channels in float32 `cells` [cells, channels], rows first."""
        side = round(len(cells) ** 0.5)
        grid = cells.reshape(side, side, -1)
        parts = [[round(edge * side) for edge in edges] for edges in _REGIONS.values()]
        means = np.stack([grid[top:bottom, left:right].mean((0, 1)) for top, bottom, left, right in parts])
        logits = means @ self._weight.T + self._bias
        classes = np.exp(logits - logits.max(1, keepdims=True))
        classes /= classes.sum(1, keepdims=True)
        chances = classes @ self._called
        sure = [
            Named(region, self.names[called.argmax()], self._breed(row, int(called.argmax())))
            for region, row, called in zip(_REGIONS, classes, chances, strict=True)
            if called.max() > _SURE
        ]
        return Look(tuple(sure), np.flatnonzero(chances.max(0) < _UNLIKELY))

    def _breed(self, classes: npt.NDArray[np.float32], name: int) -> str:
        """The class itself, if the chances of the `classes` [1000] leave no doubt and people would say less."""
        likeliest = int(classes.argmax())
        sure = classes[likeliest] > _SURE and self._name_of[likeliest] == name
        return self._synsets[likeliest] if sure and self._synsets[likeliest] != self.names[name] else ""


class NamingTeacher:
    """Lessons in naming what `namer` was sure of in its `looks` at the pictures, before those of `ask`."""

    def __init__(self, ask: Teacher, namer: Namer, looks: Sequence[Look]) -> None:
        self._ask, self._names, self._animals, self._looks = ask, namer.names, namer.animals, looks

    def __call__(self, shown: Showing, rng: random.Random) -> list[Lesson]:
        look = self._looks[shown.place]
        lessons = []
        for thing in {one.name: one for one in reversed(look.sure)}.values():
            question = rng.choice(_WHERE).format(thing.region) if thing.region else rng.choice(_WHAT)
            wrong = tuple(named(self._names[i]) for i in rng.sample(look.unlikely.tolist(), 3))
            lessons.append(Lesson("label", question, (named(thing.name),), wrong=wrong))
            if thing.name in self._animals:
                lessons.append(Lesson("label", rng.choice(_WHAT_ANIMAL), (named(thing.name),)))
            if thing.breed:
                lessons.append(Lesson("label", f"What kind of {thing.name} is this?", (named(thing.breed),)))
            absent = self._names[rng.choice(look.unlikely.tolist())]
            lessons.append(Lesson("presence", presence_question(thing.name, rng), ("Yes.",)))
            lessons.append(Lesson("presence", presence_question(absent, rng), ("No.",)))
        return [*lessons, *self._ask(shown, rng)]
