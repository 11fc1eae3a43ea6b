"""Photographs in memory, and the views of them that training shows: parts, mirrored, lighter, or spoilt."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor

from lorgnette.device.frame import Frame
from lorgnette.export.embedded import PREPROCESSING
from lorgnette.llm.evaluation.dataset import PhotoSet
from lorgnette.vision.preprocess import Preprocessor

Pixels = npt.NDArray[np.uint8]
Pictures = Pixels | Sequence[Pixels]
"""Pictures [H, W, 3] of one size by their places, in memory or made when they are asked for."""

KEPT_SIDE = 224  # the data sets' own size; the encoder's side is reached when a view is shown
_SMALLEST_CROP = 0.7  # of a side
_LIGHTER = 0.2


@dataclass(frozen=True, slots=True)
class View:
    """A part of a picture (edges as shares of its height and width), mirrored or not, `gain` times as bright."""

    top: float = 0.0
    bottom: float = 1.0
    left: float = 0.0
    right: float = 1.0
    mirrored: bool = False
    gain: float = 1.0


WHOLE = View()


def random_view(rng: random.Random, *, mirror: bool, crop: bool = True) -> View:
    """A large part of the picture, of another aspect ratio as a rule, or with `crop` off all of it; mirrored half of
    the time if it may be."""
    smallest = _SMALLEST_CROP if crop else 1.0
    height, width = rng.uniform(smallest, 1.0), rng.uniform(smallest, 1.0)
    top, left = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
    gain = rng.uniform(1 - _LIGHTER, 1 + _LIGHTER)
    return View(top, top + height, left, left + width, mirror and rng.random() < 0.5, gain)


def load_pictures(photos: PhotoSet, rows: Sequence[int]) -> Pixels:
    """RGB uint8 [rows, KEPT_SIDE, KEPT_SIDE, 3], squashed as the runtime squashes."""
    kept = Preprocessor(KEPT_SIDE, KEPT_SIDE, (0.0,), (1.0,))
    out = np.empty((len(rows), KEPT_SIDE, KEPT_SIDE, 3), np.uint8)
    for place, row in enumerate(track(rows, f"opening {photos.name}")):
        out[place] = kept.resize(Frame(photos.pixels(photos.photos[row])))
    return out


def show(pictures: Pixels, views: Sequence[View], device: torch.device) -> Tensor:
    """What the encoder is given of `pictures` [B, H, W, 3]: normalised float32 [B, 3, side, side].

    Every pixel is the mean of the area it covers, as in `vision.preprocess`.
    """
    facts, (_, height, width, _) = PREPROCESSING, pictures.shape
    rows = _areas([(v.top, v.bottom) for v in views], height, facts.height, device)
    columns = _areas([(v.left, v.right) for v in views], width, facts.width, device)
    mirrored = torch.tensor([v.mirrored for v in views], device=device)[:, None, None]
    columns = torch.where(mirrored, columns.flip(1), columns)
    x = on_device(pictures, device).permute(0, 3, 1, 2).float()
    x = rows[:, None] @ x @ columns[:, None].transpose(-1, -2)
    gain = torch.tensor([v.gain for v in views], device=device)[:, None, None, None]
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (facts.mean, facts.std))
    return ((x * gain).clamp(0, 255) - mean) / std


def on_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """A copy on `device`. A GPU is not waited for: it may still be busy with what came before."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _areas(edges: Sequence[tuple[float, float]], size: int, side: int, device: torch.device) -> Tensor:
    """[B, side, size]: the share of each of `size` pixels in each of the `side` equal parts between the edges."""
    bounds = torch.tensor(edges, dtype=torch.float32, device=device) * size
    at = bounds[:, :1] + (bounds[:, 1:] - bounds[:, :1]) * torch.linspace(0, 1, side + 1, device=device)
    pixel = torch.arange(size, dtype=torch.float32, device=device)
    start, end = at[:, :-1, None], at[:, 1:, None]
    overlap = (torch.minimum(end, pixel + 1) - torch.maximum(start, pixel)).clamp_min(0)
    return overlap / (end - start)


def darkened(pixels: Pixels, rng: random.Random) -> Pixels:
    """Too little light: a few steps of brightness are left, and noise."""
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.uniform(1, 4), pixels.shape)
    return np.clip(pixels * rng.uniform(0.0, 0.06) + noise, 0, 255).astype(np.uint8)


def blurred(pixels: Pixels, rng: random.Random) -> Pixels:
    """So far out of focus that only patches of colour are left."""
    sigma = max(pixels.shape[:2]) * rng.uniform(0.06, 0.15)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def blank(pixels: Pixels, rng: random.Random) -> Pixels:
    """A surface in the picture's mean colour, a little brighter at one end."""
    slope = np.linspace(-1, 1, pixels.shape[1])[None, :, None] * rng.uniform(0, 30)
    surface: npt.NDArray[np.float64] = pixels.mean((0, 1)) + slope + np.zeros(pixels.shape)
    return surface.clip(0, 255).astype(np.uint8)
