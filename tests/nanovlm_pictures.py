"""What huggingface/nanoVLM makes of a picture and of the words around it, written anew from `data/custom_transforms.py`
and `data/processors.py`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny_nanovlm import EXTRA, IMAGE, LONGEST, SIDE, WHOLE
from torch.nn import functional


def resized(picture: Image.Image, side: int = SIDE, longest: int = LONGEST, *, enlarge: bool = False) -> Image.Image:
    """`DynamicResize`: the long side up to whole tiles, no longer than `longest`, the short one along with it."""
    long, short = max(picture.size), min(picture.size)
    new_long = longest if enlarge else min(longest, math.ceil(long / side) * side)
    new_short = max(side, math.ceil(short * (new_long / long) / side) * side)
    size = (new_long, new_short) if picture.width >= picture.height else (new_short, new_long)
    return picture.resize(size, Image.Resampling.BICUBIC)


def tiles(picture: Image.Image, side: int = SIDE) -> tuple[Any, tuple[int, int]]:
    """`GlobalAndSplitImages` behind `ToTensor`: [tiles, 3, side, side] in 0..1, the whole first, and the grid."""
    values = torch.from_numpy(np.array(picture, np.float32) / 255).permute(2, 0, 1)
    grid = (picture.height // side, picture.width // side)
    cut = [
        values[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
        for row in range(grid[0])
        for column in range(grid[1])
    ]
    if grid == (1, 1):
        return torch.stack(cut), grid
    # What torchvision's `resize` does with a tensor.
    whole = functional.interpolate(values[None], (side, side), mode="bilinear", antialias=True, align_corners=False)
    return torch.cat((whole, torch.stack(cut))), grid


def words(generation: str, grid: tuple[int, int], tokens: int) -> str:
    """`get_image_string` for one picture."""
    extra = EXTRA[generation]
    if "r1c1" not in extra:
        return IMAGE * tokens
    text = WHOLE + IMAGE * tokens if "global_image_token" in extra else ""
    if text and grid == (1, 1):
        return text
    places = [(row, column) for row in range(1, grid[0] + 1) for column in range(1, grid[1] + 1)]
    return text + "".join(extra[f"r{row}c{column}"] + IMAGE * tokens for row, column in places)
