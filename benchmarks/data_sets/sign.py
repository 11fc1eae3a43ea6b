"""Drawing a sign and hanging it up somewhere: from lines of text to a photograph of 640 x 480 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from data_sets.faces import Face
from data_sets.optics import Light, Pixels, defocus, develop, fog, slope, to_light, vignette

WIDTH, HEIGHT = 640, 480
_FINE = 2  # drawn so many times larger, then reduced: edges come out as a lens would draw them
_SMALLEST, _LARGEST = 26, 120  # pixels of type in the photograph

# Plate and ink, as sRGB.
_SCHEMES = (
    ("#ffffff", "#111111"),
    ("#f4f1e6", "#222a35"),
    ("#ffd200", "#111111"),
    ("#c8102e", "#ffffff"),
    ("#00653b", "#ffffff"),
    ("#0b4ea2", "#ffffff"),
    ("#1c1c1c", "#f5f5f5"),
    ("#5a3a22", "#f3e3c3"),
    ("#f2e3c6", "#5b2a1a"),
    ("#e8e8e8", "#b0121b"),
    ("#ffffff", "#0b4ea2"),
    ("#24352b", "#e9efe6"),
    ("#f7b5c4", "#4a1030"),
    ("#c8cbd0", "#1d2430"),
    ("#ff7a00", "#1a1a1a"),
    ("#bfe3f2", "#123a55"),
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a sign looks and hangs. `fill` is the part of the picture's width that the longest line takes; `corners`
    moves the plate's corners, float [4, 2] in parts of its shorter side, `tilt` turns it, in degrees, and `place` is
    where it hangs: from -1 (far left, top) to 1. `smaller` is the size of the second line and those below."""

    face: Face
    plate: str
    ink: str
    border: bool
    rounded: float
    left: bool
    fill: float
    smaller: float
    tilt: float
    corners: npt.NDArray[np.float64]
    place: tuple[float, float]

    @classmethod
    def draw(cls, faces: Sequence[Face], rng: np.random.Generator) -> Style:
        """A style at random."""
        plate, ink = _SCHEMES[rng.integers(len(_SCHEMES))]
        return cls(
            face=faces[rng.integers(len(faces))],
            plate=plate,
            ink=ink,
            border=bool(rng.random() < 0.5),
            rounded=float(rng.choice([0.0, 0.08, 0.2])),
            left=bool(rng.random() < 0.25),
            fill=float(rng.uniform(0.4, 0.8)),
            smaller=float(rng.choice([1.0, 0.8, 0.65])),
            tilt=float(rng.normal(0, 2.5)),
            corners=rng.uniform(-0.08, 0.08, (4, 2)),
            place=(float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1))),
        )


def photograph(lines: Sequence[str], style: Style, background: Light, rng: np.random.Generator) -> Pixels:
    """A sign that says `lines` in front of `background` (float32 [480, 640, 3]); no lines make an empty plate."""
    colour, alpha = _drawn(lines, style)
    wide, high = WIDTH * _FINE, HEIGHT * _FINE
    height, width = alpha.shape
    # Corners clockwise from the top left: the plate anywhere that leaves a margin, turned, seen a little from the side.
    margin_x, margin_y = max(0.0, wide * 0.94 - width) / 2, max(0.0, high * 0.94 - height) / 2
    centre = np.array([wide / 2 + style.place[0] * margin_x, high / 2 + style.place[1] * margin_y])
    flat = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array([width / 2, height / 2])
    turn = np.radians(style.tilt)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    target = centre + flat @ rotation + style.corners * min(width, height)
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    homography = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    hung, seen = (cv2.warpPerspective(layer, homography, (wide, high)) for layer in (colour, alpha))
    hung, seen = (cv2.resize(layer, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for layer in (hung, seen))
    shadow = np.roll(cv2.GaussianBlur(seen, (0, 0), 5), (6, 4), axis=(0, 1))
    light = background * (1 - 0.5 * shadow)[..., None] * (1 - seen)[..., None] + hung
    light = light * (slope(HEIGHT, WIDTH, rng, rng.uniform(0, 0.5)) * vignette(HEIGHT, WIDTH, 0.25))[..., None]
    light = light * np.float32(rng.uniform(0.6, 1.05))
    return develop(defocus(light.astype(np.float32), rng.uniform(0.5, 1.8)), rng)


def _drawn(lines: Sequence[str], style: Style) -> tuple[Light, Light]:
    """The plate's light, multiplied by how much of each pixel it covers, and that share: [h, w, 3] and [h, w]."""
    font = style.face.open()
    sizes, widths = _fitted_sizes(lines, style, font)
    leading = [round(1.35 * size) for size in sizes]
    pad = max(18 * _FINE, round(0.5 * max(sizes, default=0)))
    width = max(widths, default=int(style.fill * WIDTH * _FINE)) + 2 * pad
    height = (sum(leading) or width // 2) + 2 * pad
    cover = _rounded(height, width, round(style.rounded * min(height, width)))
    ink = np.zeros((height, width, 3), np.uint8)
    if style.border:
        rim = max(2, min(height, width) // 60)
        inset = cv2.copyMakeBorder(cover, rim, rim, rim, rim, cv2.BORDER_CONSTANT)
        for kernel in (rim, 2 * rim):  # a line a little inside the edge
            part = cv2.erode(inset, np.ones((2 * kernel + 1, 2 * kernel + 1), np.uint8))[rim:-rim, rim:-rim]
            ink[part > 0] = 255 if kernel == rim else 0
    baseline = pad
    for line, size, wide, lead in zip(lines, sizes, widths, leading, strict=True):
        left = pad if style.left else (width - wide) // 2
        corner = (left, baseline + round(1.05 * size))
        cv2.putText(ink, line, corner, (255, 255, 255), font, size, style.face.weight)
        baseline += lead
    mixed = ink[..., :1].astype(np.float32) / 255
    light = mixed * _linear(style.ink) + (1 - mixed) * _linear(style.plate)
    grain = 1 + 0.02 * fog(height, width, 4, np.random.default_rng(len(lines)))
    alpha = cover.astype(np.float32) / 255
    return np.asarray(light * grain[..., None] * alpha[..., None], dtype=np.float32), alpha


def _fitted_sizes(lines: Sequence[str], style: Style, font: object) -> tuple[list[int], list[int]]:
    """Type sizes and widths of the lines, in drawn pixels: as large as `fill`, the picture's height and taste allow."""
    if not lines:
        return [], []
    relative = [1.0] + [style.smaller] * (len(lines) - 1)
    tall = 0.62 * HEIGHT / (1.35 * sum(relative))
    # Widths grow with size, but for rounding; measuring is slow.
    hundred = [_width(line, font, 100, style.face.weight) for line in lines]
    wide = min(100 * style.fill * WIDTH / max(1, width * part) for width, part in zip(hundred, relative, strict=True))
    sizes = [max(_SMALLEST, round(min(_LARGEST, tall, wide) * part)) * _FINE for part in relative]
    return sizes, [_width(line, font, size, style.face.weight) for line, size in zip(lines, sizes, strict=True)]


def _width(line: str, font: object, size: int, weight: int) -> int:
    _, _, width, _ = cv2.getTextSize((0, 0), line, (0, 0), font, size, weight)
    return int(width)


def _rounded(height: int, width: int, radius: int) -> npt.NDArray[np.uint8]:
    cover = np.zeros((height, width), np.uint8)
    cv2.rectangle(cover, (radius, 0), (width - radius - 1, height - 1), 255, -1)
    cv2.rectangle(cover, (0, radius), (width - 1, height - radius - 1), 255, -1)
    for x in (radius, width - radius - 1):
        for y in (radius, height - radius - 1):
            cv2.circle(cover, (x, y), radius, 255, -1, cv2.LINE_AA)
    return cover


def _linear(colour: str) -> Light:
    rgb = np.array([[[int(colour[i : i + 2], 16) for i in (1, 3, 5)]]], np.uint8)
    return to_light(rgb)[0, 0]
