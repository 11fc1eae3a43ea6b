"""Which photographs of a data set are used, and which picture stands for which when they are shuffled."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorgnette.device.errors import InputError
from lorgnette.llm.evaluation.dataset import PhotoSet
from lorgnette.llm.evaluation.record import Photo

# Of a set that is split, what was not trained on; a set without these splits is used whole.
_PREFERRED = ("test", "dev")


@dataclass(frozen=True, slots=True)
class Selection:
    """The photographs `chosen` from a data set, in its order. `instead` maps each usable picture to the one that is
    shown in its place when pictures are shuffled; it is empty where there is only one."""

    name: str
    source: PhotoSet
    split: str
    chosen: Sequence[Photo]
    instead: Mapping[str, str]

    @property
    def images(self) -> list[str]:
        return list(dict.fromkeys(photo.image for photo in self.chosen))


def select(
    paths: Sequence[Path], split: str | None = None, photos: int | None = None, seed: int = 0
) -> list[Selection]:
    """Open data sets and choose from each at most `photos` photographs at random. Raises InputError."""
    sources = [PhotoSet(path) for path in paths]
    names = Counter(source.name for source in sources)
    selections = []
    for index, source in enumerate(sources, 1):
        name = source.name if names[source.name] == 1 else f"{source.name}-{index}"
        selections.append(_select(source, name, split, photos, seed))
    return selections


def _select(source: PhotoSet, name: str, split: str | None, photos: int | None, seed: int) -> Selection:
    splits = Counter(photo.split for photo in source.photos)
    wanted = next((s for s in _PREFERRED if splits[s]), None) if split is None else split
    found = [photo for photo in source.photos if wanted is None or photo.split == wanted]
    if not found:
        have = ", ".join(sorted(filter(None, splits))) or "no splits"
        raise InputError(f"{source.path} has no split {wanted!r}", f"it has: {have}")
    if photos is not None and photos < len(found):
        found = [found[index] for index in sorted(random.Random(seed).sample(range(len(found)), photos))]
    usable = list(dict.fromkeys(photo.image for photo in found if photo.usable))
    return Selection(name, source, wanted or "", found, _shuffled(usable, seed))


def _shuffled(images: Sequence[str], seed: int) -> dict[str, str]:
    """Every picture once in another one's place."""
    order = random.Random(seed).sample(images, len(images))
    return dict(zip(order, order[1:] + order[:1], strict=True)) if len(order) > 1 else {}
