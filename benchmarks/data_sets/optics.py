"""Light, lens and sensor: what happens to a picture between the scene and its eight bits.

Pictures are RGB uint8 [height, width, 3]; light is linear, float32 of the same shape, 1 being white. Random numbers are
given, so that the same generator makes the same picture.
"""

from __future__ import annotations

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


def slope(height: int, width: int, rng: np.random.Generator, depth: float) -> Light:
    """Light that falls off evenly across the picture, from 1 to 1 - `depth`."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    along = x / width * np.cos(angle) + y / height * np.sin(angle)
    return np.asarray(1 - depth * (along - along.min()) / max(float(np.ptp(along)), 1e-6), dtype=np.float32)


def vignette(height: int, width: int, depth: float) -> Light:
    """1 in the middle, 1 - `depth` in the corners."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    far = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2
    return np.asarray(1 - depth * far, dtype=np.float32)


def fog(height: int, width: int, size: float, rng: np.random.Generator) -> Light:
    """Smooth random shapes about `size` pixels large, of standard deviation near 1."""
    coarse = rng.standard_normal((int(height / size) + 3, int(width / size) + 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _filtered(light: Light, kernel: npt.NDArray[np.float64]) -> Light:
    return np.asarray(cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), dtype=np.float32)
