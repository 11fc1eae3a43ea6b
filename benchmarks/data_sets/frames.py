"""A set of bad frames with as many good ones, both made from somebody's photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from data_sets.bad_frames import MAKERS
from data_sets.folder import Example
from lorgnette.device.errors import InputError
from lorgnette.llm.evaluation.dataset import PhotoSet


def frames(photos: PhotoSet, split: str, each: int, seed: int) -> Iterator[Example]:
    """`each` bad frames of every kind, then as many good ones altogether: every picture from a photograph of its own.

    Raises InputError where `split` ("" for all) has too few photographs.
    """
    numbers = [number for number, photo in enumerate(photos.photos) if split in ("", photo.split)]
    kinds = [kind for kind in MAKERS for _ in range(each)]
    if len(numbers) < 2 * len(kinds):
        raise InputError(
            f"{len(numbers)} photographs are too few for {len(kinds)} bad frames and as many good ones",
            f"give a data set with at least {2 * len(kinds)}, or take fewer with --count",
        )
    chosen: Sequence[int] = np.random.default_rng(seed).permutation(numbers)[: 2 * len(kinds)].tolist()
    for place, number in enumerate(chosen):
        kind = kinds[place] if place < len(kinds) else "good"
        pixels = photos.pixels(photos.photos[number])
        if kind != "good":
            pixels = MAKERS[kind](pixels, np.random.default_rng([seed, number]))
        yield pixels, {"quality": kind}
