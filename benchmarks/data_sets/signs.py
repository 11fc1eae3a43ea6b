"""Two sets: signs to be read, and pictures in which nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from data_sets.backgrounds import BACKGROUNDS
from data_sets.faces import Face
from data_sets.folder import Example
from data_sets.optics import Light, Pixels, defocus, develop, slope, to_light
from data_sets.sign import HEIGHT, WIDTH, Style, photograph
from data_sets.sign_texts import texts

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
WORDLESS = ("cat", "coffee", "photographer")
"""Those of the example photographs without writing in them."""
DETAILED = ("bricks", "planks", "tiles", "hedge", "street")
"""Backgrounds that are worth a look by themselves: the others are blank or far out of focus."""


def signs(count: int, seed: int, faces: Sequence[Face]) -> Iterator[Example]:
    """Signs, doors and labels of one to three lines."""
    for number, (_, lines) in enumerate(texts(count, np.random.default_rng(seed))):
        rng = np.random.default_rng([seed, number])
        style = Style.draw(faces, rng)
        if style.face.capitals:
            lines = tuple(map(str.upper, lines))
        yield photograph(lines, style, backdrop(rng), rng), {"text": list(lines)}


def textless(count: int, seed: int, faces: Sequence[Face]) -> Iterator[Example]:
    """Walls, hedges and houses, every third with an empty plate on it, every sixth a crop of a photograph."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        if number % 6 == 5:
            pixels = develop(crop(WORDLESS[number // 6 % len(WORDLESS)], rng), rng)
        elif number % 3 == 1:
            pixels = photograph((), Style.draw(faces, rng), backdrop(rng), rng)
        else:
            light = BACKGROUNDS[DETAILED[number % len(DETAILED)]](HEIGHT, WIDTH, rng)
            pixels = develop(light * slope(HEIGHT, WIDTH, rng, rng.uniform(0, 0.5))[..., None], rng)
        yield pixels, {"text": []}


def backdrop(rng: np.random.Generator) -> Light:
    """What is behind a sign: a drawn place, or now and then a photograph a little out of focus."""
    if rng.random() < 0.15:
        return defocus(crop(WORDLESS[rng.integers(len(WORDLESS))], rng), rng.uniform(3, 10))
    places = list(BACKGROUNDS.values())
    return places[rng.integers(len(places))](HEIGHT, WIDTH, rng)


def crop(name: str, rng: np.random.Generator) -> Light:
    """Most of an example photograph, mirrored or not, as float32 light [480, 640, 3]."""
    pixels = _example(name)
    height, width = pixels.shape[:2]
    part = rng.uniform(0.75, 1.0) * min(width / WIDTH, height / HEIGHT)
    wide, high = int(part * WIDTH), int(part * HEIGHT)
    left, top = rng.integers(width - wide + 1), rng.integers(height - high + 1)
    cut = pixels[top : top + high, left : left + wide]
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    return to_light(np.asarray(cv2.resize(np.ascontiguousarray(cut), (WIDTH, HEIGHT)), dtype=np.uint8))


def _example(name: str) -> Pixels:
    bgr = cv2.imread(str(PHOTOS / f"{name}.jpg"))
    assert bgr is not None
    return np.asarray(bgr[:, :, ::-1], dtype=np.uint8)
