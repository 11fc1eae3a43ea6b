"""Frames that a camera on somebody's head takes when things go wrong: dark, blurred, blank, covered.

Each is made by a small physical model in linear light (the sRGB curve is undone first): light is scaled before the
sensor's noise is added, a lens out of focus spreads light over a disk, a moving head smears it along a path, a finger
or cloth on the lens is too near for any detail. Pictures are RGB uint8 [height, width, 3], random numbers are given.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_sets.optics import Light, Pixels, defocus, develop, fog, shake, slope, to_light, vignette


def dark(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """5 to 9 stops too little light, up to a stop of which the camera makes up by gain."""
    return develop(to_light(photo) * 2.0 ** -rng.uniform(5, 9), rng, 2.0 ** rng.uniform(0, 1))


def blurred(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Out of focus (a disk of 2.5 to 7 % of the width), shaken (a path of 7 to 25 %), or some of both."""
    width = photo.shape[1]
    kind = rng.integers(3)
    light = to_light(photo)
    if kind != 1:
        light = defocus(light, width * rng.uniform(0.025, 0.07) * (1 if kind == 0 else 0.5))
    if kind != 0:
        light = shake(light, width * rng.uniform(0.07, 0.25) * (1 if kind == 1 else 0.7), rng)
    return develop(light, rng)


def blank(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Nothing but a wall, a ceiling, the sky or glare, as large as `photo`, which lends only its size."""
    height, width = photo.shape[:2]
    glare = rng.random() < 0.2
    colour = rng.uniform(0.9, 1.3, 3) if glare else rng.uniform(0.12, 0.8) * rng.uniform(0.75, 1.0, 3)
    surface = np.ones((height, width), np.float32) * slope(height, width, rng, rng.uniform(0, 0.35))
    surface *= vignette(height, width, rng.uniform(0, 0.3))
    plaster = fog(height, width, width / rng.uniform(60, 120), rng) * rng.uniform(0, 0.02)
    blotches = fog(height, width, width / rng.uniform(2, 6), rng) * rng.uniform(0, 0.05)
    light = surface[..., None] * colour.astype(np.float32) * (1 + plaster + blotches)[..., None]
    return develop(light.astype(np.float32), rng)


def covered(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """A finger or cloth on the lens over at least 85 % of `photo`; what stays free is at the border, and soft."""
    height, width = photo.shape[:2]
    cover = finger(height, width, rng) if rng.random() < 0.5 else cloth(height, width, rng)
    free = rng.uniform(0.02, 0.15) if rng.random() < 0.5 else 0.0
    if free == 0.0:
        return develop(cover, rng)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    along = x / width * np.cos(angle) + y / height * np.sin(angle)
    along += fog(height, width, width / 2, rng) * 0.05
    border = float(np.quantile(along, 1 - free))
    seen = 1 / (1 + np.exp(-(along - border) / rng.uniform(0.01, 0.05)))
    return develop(to_light(photo) * seen[..., None] + cover * (1 - seen[..., None]), rng)


def finger(height: int, width: int, rng: np.random.Generator) -> Light:
    """Skin too near to be in focus; light shines through it red, or hardly at all."""
    through = np.array([1.0, rng.uniform(0.08, 0.3), rng.uniform(0.03, 0.2)])  # what haemoglobin leaves of white
    skin = np.array([1.0, rng.uniform(0.5, 0.75), rng.uniform(0.35, 0.65)])
    colour = (through if rng.random() < 0.6 else skin) * 10 ** rng.uniform(-2, -0.35)
    shade = slope(height, width, rng, rng.uniform(0.2, 0.9)) * vignette(height, width, rng.uniform(0.1, 0.7))
    shade = shade * (1 + 0.1 * fog(height, width, width / 3, rng))
    return np.asarray(shade[..., None] * colour, dtype=np.float32)


def cloth(height: int, width: int, rng: np.random.Generator) -> Light:
    """A sleeve, a scarf or a pocket: dim, of any colour, with a weave that is nearly lost out of focus."""
    colour = rng.uniform(0.3, 1.0, 3) * 10 ** rng.uniform(-2.3, -0.9)
    pitch, angle = width / rng.uniform(25, 70), rng.uniform(0, np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    warp = np.sin(2 * np.pi / pitch * (x * np.cos(angle) + y * np.sin(angle)))
    weft = np.sin(2 * np.pi / pitch * (y * np.cos(angle) - x * np.sin(angle)))
    folds = 0.3 * rng.random() * fog(height, width, width / 3, rng)
    shade = (1 + rng.uniform(0, 0.12) * (warp + weft) / 2 + folds) * vignette(height, width, rng.uniform(0.1, 0.6))
    shade = np.clip(shade, 0, None) * slope(height, width, rng, rng.uniform(0.1, 0.9))
    return np.asarray(shade[..., None] * colour, dtype=np.float32)


MAKERS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "dark": dark,
    "blurred": blurred,
    "blank": blank,
    "covered": covered,
}
