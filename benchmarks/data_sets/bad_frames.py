"""Frames that a camera on somebody's head takes when things go wrong: dark, blurred, blank, covered.

Each is made by a small physical model in linear light (the sRGB curve is undone first): light is scaled before the
sensor's noise is added, a lens out of focus spreads light over a disk, a moving head smears it along a path, a finger
or cloth on the lens is too near for any detail. Pictures are RGB uint8 [height, width, 3], random numbers are given.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Light = npt.NDArray[np.float32]

# A small sensor at a high gain: electrons that fill a pixel, and those that reading it adds or loses.
FULL_WELL = 1500.0
READ_NOISE = 2.5


def to_light(pixels: Pixels) -> Light:
    """Linear light, 0..1 (IEC 61966-2-1)."""
    values = pixels.astype(np.float32) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def develop(light: Light, rng: np.random.Generator, gain: float = 1.0) -> Pixels:
    """What a camera makes of `light`: shot and read noise, `gain`, the sRGB curve, eight bits."""
    electrons = np.clip(light, 0, 1) * FULL_WELL
    noisy = electrons + rng.standard_normal(light.shape, np.float32) * np.sqrt(electrons + READ_NOISE**2)
    values = np.clip(noisy / FULL_WELL * gain, 0, 1)
    curve = np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(curve * 255), dtype=np.uint8)


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


def defocus(light: Light, diameter: float) -> Light:
    """Each point spread evenly over a disk of `diameter` pixels."""
    size = int(np.ceil(diameter)) | 1
    y, x = np.mgrid[:size, :size] - size // 2
    disk = np.clip(diameter / 2 + 0.5 - np.hypot(x, y), 0, 1)
    return _filtered(light, disk)


def shake(light: Light, length: float, rng: np.random.Generator) -> Light:
    """Smeared along a nearly straight path of `length` pixels in any direction, at an even speed."""
    steps = np.linspace(-0.5, 0.5, int(8 * length) + 1)
    angle = rng.uniform(0, np.pi)
    bend = rng.normal(0, 0.15) * (steps**2 - 1 / 12)
    x = length * (steps * np.cos(angle) - bend * np.sin(angle))
    y = length * (steps * np.sin(angle) + bend * np.cos(angle))
    half = int(np.ceil(max(np.abs(x).max(), np.abs(y).max()))) + 1
    path = np.zeros((2 * half + 1, 2 * half + 1))
    np.add.at(path, (np.rint(y).astype(int) + half, np.rint(x).astype(int) + half), 1.0)
    return _filtered(light, path)


def blank(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Nothing but a wall, a ceiling, the sky or glare, as large as `photo`, which lends only its size."""
    height, width = photo.shape[:2]
    glare = rng.random() < 0.2
    colour = rng.uniform(0.9, 1.3, 3) if glare else rng.uniform(0.12, 0.8) * rng.uniform(0.75, 1.0, 3)
    surface = np.ones((height, width), np.float32) * _slope(height, width, rng, rng.uniform(0, 0.35))
    surface *= _vignette(height, width, rng.uniform(0, 0.3))
    plaster = _fog(height, width, width / rng.uniform(60, 120), rng) * rng.uniform(0, 0.02)
    blotches = _fog(height, width, width / rng.uniform(2, 6), rng) * rng.uniform(0, 0.05)
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
    along += _fog(height, width, width / 2, rng) * 0.05
    border = float(np.quantile(along, 1 - free))
    seen = 1 / (1 + np.exp(-(along - border) / rng.uniform(0.01, 0.05)))
    return develop(to_light(photo) * seen[..., None] + cover * (1 - seen[..., None]), rng)


def finger(height: int, width: int, rng: np.random.Generator) -> Light:
    """Skin too near to be in focus; light shines through it red, or hardly at all."""
    through = np.array([1.0, rng.uniform(0.08, 0.3), rng.uniform(0.03, 0.2)])  # what haemoglobin leaves of white
    skin = np.array([1.0, rng.uniform(0.5, 0.75), rng.uniform(0.35, 0.65)])
    colour = (through if rng.random() < 0.6 else skin) * 10 ** rng.uniform(-2, -0.35)
    shade = _slope(height, width, rng, rng.uniform(0.2, 0.9)) * _vignette(height, width, rng.uniform(0.1, 0.7))
    shade = shade * (1 + 0.1 * _fog(height, width, width / 3, rng))
    return np.asarray(shade[..., None] * colour, dtype=np.float32)


def cloth(height: int, width: int, rng: np.random.Generator) -> Light:
    """A sleeve, a scarf or a pocket: dim, of any colour, with a weave that is nearly lost out of focus."""
    colour = rng.uniform(0.3, 1.0, 3) * 10 ** rng.uniform(-2.3, -0.9)
    pitch, angle = width / rng.uniform(25, 70), rng.uniform(0, np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    warp = np.sin(2 * np.pi / pitch * (x * np.cos(angle) + y * np.sin(angle)))
    weft = np.sin(2 * np.pi / pitch * (y * np.cos(angle) - x * np.sin(angle)))
    folds = 0.3 * rng.random() * _fog(height, width, width / 3, rng)
    shade = (1 + rng.uniform(0, 0.12) * (warp + weft) / 2 + folds) * _vignette(height, width, rng.uniform(0.1, 0.6))
    shade = np.clip(shade, 0, None) * _slope(height, width, rng, rng.uniform(0.1, 0.9))
    return np.asarray(shade[..., None] * colour, dtype=np.float32)


MAKERS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "dark": dark,
    "blurred": blurred,
    "blank": blank,
    "covered": covered,
}


def _filtered(light: Light, kernel: npt.NDArray[np.float64]) -> Light:
    return np.asarray(cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), dtype=np.float32)


def _slope(height: int, width: int, rng: np.random.Generator, depth: float) -> Light:
    """Light that falls off evenly across the picture, from 1 to 1 - `depth`."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    along = x / width * np.cos(angle) + y / height * np.sin(angle)
    return np.asarray(1 - depth * (along - along.min()) / max(float(np.ptp(along)), 1e-6), dtype=np.float32)


def _vignette(height: int, width: int, depth: float) -> Light:
    """1 in the middle, 1 - `depth` in the corners."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    far = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2
    return np.asarray(1 - depth * far, dtype=np.float32)


def _fog(height: int, width: int, size: float, rng: np.random.Generator) -> Light:
    """Smooth random shapes about `size` pixels large, of standard deviation near 1."""
    coarse = rng.standard_normal((int(height / size) + 3, int(width / size) + 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
