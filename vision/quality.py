"""Whether a frame shows anything, measured before the model is asked: a model that sees nothing invents something.

Everything is computed on a copy of at most 224 pixels a side, about what the image encoder makes use of, so that the
verdict does not depend on the camera's resolution. The thresholds were chosen on photographs and on bad frames made
from others by physical models; docs/honesty.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lorgnette.device.frame import Frame

ADVICE = {
    "dark": "It is too dark to see. Turn to the light.",
    "blurred": "The picture is blurred. Hold still for a moment, or step back a little.",
    "blank": "I see nothing but a plain surface. Point the camera at something.",
    "covered": "Something covers the camera, or it is very dark. Please check the lens.",
}
"""What to say, by problem."""

# Pixels of the small copy: its longer side, and the scale of coarse detail. Fine detail is that of neighbouring pixels.
_SIDE = 224
_COARSE_SIGMA = 3.0
_PATCHES = 12  # in a row and in a column

# In grey levels squared: sensor noise at a high gain leaves less than 1.
_STANDS_OUT = 2.0

_LIGHTS_IN_THE_DARK = 75.0
_RELIEF_IN_THE_DARK = 0.023
_SHARPNESS_IN_FOCUS = 2.7
_STRUCTURE_OF_BLANK, _STRUCTURE_BESIDE_COVER, _STRUCTURE_ACROSS_COVER = 0.03, 0.45, 0.2
_DIM, _RED = 95.0, 0.385

_Grey = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quality:
    """`problem` is "dark", "blurred", "blank", "covered" or None for a good frame."""

    problem: str | None = None

    @property
    def advice(self) -> str:
        """One or two short sentences to be spoken; "" for a good frame."""
        return ADVICE[self.problem] if self.problem else ""


@dataclass(frozen=True, slots=True)
class Measures:
    """What the verdict rests on.

    `lights` is the 99th percentile of grey (0..255): lamps at night raise it, noise does not. `structure` is the share
    of the picture's 12 x 12 patches in which something stands out, `middle` that share in the inner half of width and
    height. `relief` is the 90th percentile of coarse gradients, as a share of `lights`. `sharpness` is the energy of
    fine detail over that of coarse detail in the direction that has least of it. `surface` is the median grey, and
    `redness` the share of red in red, green and blue, of the patches in which nothing stands out.
    """

    lights: float
    structure: float
    middle: float
    relief: float
    sharpness: float
    surface: float
    redness: float


def assess(frame: Frame) -> Quality:
    """Judge a frame of any size."""
    return judge(measure(frame))


def judge(seen: Measures) -> Quality:
    """The verdict on what was measured."""
    if seen.lights < _LIGHTS_IN_THE_DARK:
        return Quality("dark" if seen.relief > _RELIEF_IN_THE_DARK else "covered")
    # What covers a lens is too near to be in focus and lies across its middle; what it leaves free is at the border.
    beside = seen.structure < _STRUCTURE_BESIDE_COVER and seen.middle < _STRUCTURE_ACROSS_COVER
    if beside and (seen.surface < _DIM or seen.redness > _RED):
        return Quality("covered")
    if seen.structure < _STRUCTURE_OF_BLANK:
        return Quality("blank")
    return Quality("blurred") if seen.sharpness < _SHARPNESS_IN_FOCUS else Quality()


def measure(frame: Frame) -> Measures:
    """Measure a frame of any size; about 2 ms for 1280 x 720 pixels."""
    small = _small_copy(frame.pixels)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    fine = _Gradients(grey)
    coarse = _Gradients(np.asarray(cv2.GaussianBlur(grey, (0, 0), _COARSE_SIGMA), dtype=np.float32))
    relief = _by_patch(coarse.energy)
    stands_out = relief > _STANDS_OUT
    quarter = _PATCHES // 4
    plain = np.ones_like(stands_out) if stands_out.all() else ~stands_out
    red, green, blue = _by_patch(small)[plain].mean(axis=0, dtype=np.float64)
    lights = float(np.percentile(grey, 99))
    return Measures(
        lights=lights,
        structure=float(stands_out.mean()),
        middle=float(stands_out[quarter:-quarter, quarter:-quarter].mean()),
        relief=float(np.sqrt(np.percentile(relief, 90))) / (lights + 2),
        sharpness=_sharpness(fine, coarse),
        surface=float(np.median(_by_patch(grey)[plain])),
        redness=float((red + 1) / (red + green + blue + 3)),
    )


def _small_copy(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Reduced to 224 pixels on the longer side (never enlarged), in two steps: by whole factors OpenCV is fast."""
    height, width = pixels.shape[:2]
    whole = max(1, max(height, width) // _SIDE)
    scale = min(1.0, _SIDE / max(height, width))
    for factor in (1 / whole, scale):
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        if size != pixels.shape[1::-1]:
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return pixels


def _by_patch(values: _Grey | npt.NDArray[np.uint8]) -> _Grey:
    """Means over the patches, [12, 12] or [12, 12, channels]."""
    return np.asarray(cv2.resize(values, (_PATCHES, _PATCHES), interpolation=cv2.INTER_AREA), dtype=np.float32)


class _Gradients:
    """Derivatives of a grey picture by central differences, their squared length, and their mean structure tensor."""

    def __init__(self, grey: _Grey) -> None:
        x, y = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1), cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1)
        self.energy: _Grey = x * x + y * y
        self.xx, self.xy, self.yy = (float(np.vdot(*pair)) / grey.size for pair in ((x, x), (x, y), (y, y)))


def _sharpness(fine: _Gradients, coarse: _Gradients) -> float:
    """The least of (v' F v) / (v' C v) over directions v, where F and C are the structure tensors at the two scales.

    Motion takes the fine detail along one direction only, at any angle; a lens out of focus along all of them. The
    minimum is the smaller root r of det(F - r C) = 0. Noise adds to F evenly and is taken off first, as much of it as
    the smoothest patches show, but half of F at most: gravel and brick have no smooth patches.
    """
    noise = 0.45 * float(np.percentile(_by_patch(fine.energy), 5))
    fine_xx, fine_yy = (energy - min(noise, energy / 2) for energy in (fine.xx, fine.yy))
    # One grey level squared more, so that a picture without any detail has a ratio, too.
    coarse_xx, coarse_yy = coarse.xx + 1, coarse.yy + 1
    area = coarse_xx * coarse_yy - coarse.xy**2
    middle = (fine_xx * coarse_yy + fine_yy * coarse_xx - 2 * fine.xy * coarse.xy) / (2 * area)
    product = (fine_xx * fine_yy - fine.xy**2) / area
    return float(middle - np.sqrt(max(middle**2 - product, 0.0)))
