"""Places where a sign may hang and where nothing is written: walls, planks, tiles, hedges, lights at dusk.

Each is drawn in linear light (see `optics`), float32 [height, width, 3].
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from data_sets.optics import Light, defocus, fog, slope


def plaster(height: int, width: int, rng: np.random.Generator) -> Light:
    """A painted wall with stains and grain."""
    colour = _muted(rng, 0.15, 0.75)
    stains = 0.08 * fog(height, width, width / 3, rng) + 0.04 * fog(height, width, width / 12, rng)
    grain = 0.05 * fog(height, width, 4, rng)
    return _shaded(1 + stains + grain, colour)


def bricks(height: int, width: int, rng: np.random.Generator) -> Light:
    """Courses of bricks, each a little different, with mortar between them."""
    course = height / rng.uniform(8, 16)
    long, joint = course * rng.uniform(2.2, 3.2), max(2.0, course * 0.12)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    row = np.floor(y / course)
    shifted = x + (row % 2) * long / 2
    column = np.floor(shifted / long)
    inside = ((y % course) > joint) & ((shifted % long) > joint)
    table = rng.normal(1, 0.18, 4096).astype(np.float32)
    tone = np.clip(table[(row * 131 + column * 17).astype(int) % 4096], 0.4, 1.6)
    tone = tone * (1 + 0.12 * fog(height, width, 3, rng))
    red = np.array([0.3, 0.1, 0.06]) * rng.uniform(0.5, 1.6) * rng.uniform(0.8, 1.2, 3)
    mortar = np.full(3, rng.uniform(0.2, 0.5)) * (1 + 0.1 * fog(height, width, 3, rng))[..., None]
    return np.asarray(np.where(inside[..., None], tone[..., None] * red, mortar), dtype=np.float32)


def planks(height: int, width: int, rng: np.random.Generator) -> Light:
    """Boards side by side with grain along them."""
    board = width / rng.uniform(4, 9)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    number = np.floor(x / board).astype(int)
    offset = rng.uniform(0, 100, 64)[number % 64]
    grain = fog(height, width, width / 30, rng)
    rings = np.sin(2 * np.pi * (x / (board / rng.uniform(4, 8)) + 0.4 * grain + offset + 0.002 * y))
    tone = rng.normal(1, 0.12, 64)[number % 64] * (1 + 0.14 * rings + 0.08 * fog(height, width, 2, rng))
    gap = (x % board) < max(1.5, board * 0.03)
    wood = np.array([0.34, 0.19, 0.09]) * rng.uniform(0.4, 1.7) * rng.uniform(0.9, 1.1, 3)
    turned = _shaded(np.where(gap, 0.25, tone), wood)
    return turned if rng.random() < 0.5 else _fitted(turned.transpose(1, 0, 2), height, width)


def tiles(height: int, width: int, rng: np.random.Generator) -> Light:
    """Square tiles in one or two colours."""
    side = width / rng.uniform(5, 12)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    joint = ((x % side) < side * 0.05) | ((y % side) < side * 0.05)
    first, second = _muted(rng, 0.3, 0.8), _muted(rng, 0.1, 0.8)
    chequered = (np.floor(x / side) + np.floor(y / side)) % 2 if rng.random() < 0.4 else np.zeros((height, width))
    colour = np.where(chequered[..., None] > 0, second, first) * (1 + 0.04 * fog(height, width, side, rng))[..., None]
    return np.asarray(np.where(joint[..., None], rng.uniform(0.1, 0.5), colour), dtype=np.float32)


def hedge(height: int, width: int, rng: np.random.Generator) -> Light:
    """Leaves upon leaves."""
    picture = np.zeros((height, width, 3), np.float32)
    for layer in range(3):
        bright = 0.3 + 0.35 * layer
        for _ in range(700):
            centre = (int(rng.integers(-5, width + 5)), int(rng.integers(-5, height + 5)))
            axes = (int(rng.integers(5, 15)), int(rng.integers(3, 7)))
            tone = rng.uniform(0.4, 1.2) * bright * np.array([0.16, 0.3, 0.07])
            cv2.ellipse(picture, centre, axes, rng.uniform(0, 180), 0, 360, tone.tolist(), -1, cv2.LINE_AA)
    return picture


def dusk(height: int, width: int, rng: np.random.Generator) -> Light:
    """A street at dusk, far out of focus: disks of light before a dim gradient."""
    picture = _shaded(slope(height, width, rng, 0.7), _muted(rng, 0.03, 0.15))
    for _ in range(int(rng.integers(25, 60))):
        centre = (int(rng.integers(width)), int(rng.normal(height * 0.5, height * 0.2)))
        lamp = np.array([1.0, rng.uniform(0.4, 1.0), rng.uniform(0.1, 0.8)]) * rng.uniform(0.2, 1.2)
        disk = np.zeros((height, width, 3), np.float32)
        cv2.circle(disk, centre, int(rng.integers(6, 26)), lamp.tolist(), -1, cv2.LINE_AA)
        picture += 0.6 * disk
    return picture


def street(height: int, width: int, rng: np.random.Generator) -> Light:
    """House fronts with windows under a sky, a little out of focus."""
    picture = _shaded(slope(height, width, rng, 0.25), np.array([0.45, 0.6, 0.85]) * rng.uniform(0.5, 1.1))
    left, ground = 0, int(height * rng.uniform(0.75, 0.95))
    while left < width:
        right = left + int(rng.integers(width // 6, width // 3))
        top = int(height * rng.uniform(0.05, 0.4))
        cv2.rectangle(picture, (left, top), (right, ground), _muted(rng, 0.08, 0.5).tolist(), -1)
        glass = (np.array([0.1, 0.13, 0.17]) * rng.uniform(0.5, 2)).tolist()
        pane = (right - left) // 7 + 1
        for x in range(left + pane, right - pane, 2 * pane):
            for y in range(top + 2 * pane, ground - 2 * pane, 3 * pane):
                cv2.rectangle(picture, (x, y), (x + pane, y + 2 * pane), glass, -1)
        left = right
    cv2.rectangle(picture, (0, ground), (width, height), [rng.uniform(0.05, 0.2)] * 3, -1)
    return defocus(picture, rng.uniform(1, 6))


BACKGROUNDS: dict[str, Callable[[int, int, np.random.Generator], Light]] = {
    "plaster": plaster,
    "bricks": bricks,
    "planks": planks,
    "tiles": tiles,
    "hedge": hedge,
    "dusk": dusk,
    "street": street,
}


def _muted(rng: np.random.Generator, darkest: float, brightest: float) -> Light:
    return np.asarray(rng.uniform(darkest, brightest) * rng.uniform(0.65, 1.0, 3), dtype=np.float32)


def _shaded(tone: Light, colour: Light) -> Light:
    return np.asarray(np.clip(tone, 0, None)[..., None] * colour, dtype=np.float32)


def _fitted(light: Light, height: int, width: int) -> Light:
    return np.asarray(cv2.resize(np.ascontiguousarray(light), (width, height)), dtype=np.float32)
