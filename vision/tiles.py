"""Into how many tiles a picture is cut, and to which sizes it is scaled on the way.

Each rule is that of a family's processor, so that a bundle sees what the model was trained to see: "scaled" is
SmolVLM's and Idefics3's (their papers: arXiv 2504.05299 and 2408.12637), "direct" is nanoVLM's (`DynamicResize` in
huggingface/nanoVLM), which leaves small pictures small unless it is "direct_enlarged".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TILINGS = ("scaled", "direct", "direct_enlarged")


@dataclass(frozen=True, slots=True)
class Grid:
    """`rows` x `columns` tiles and the whole picture; no tiles at all, only the whole, is 0 x 0."""

    rows: int = 0
    columns: int = 0

    @property
    def tiles(self) -> int:
        """How many squares are looked at."""
        return self.rows * self.columns + 1


def scaled(height: int, width: int, longest_edge: int) -> tuple[int, int]:
    """Height and width with the longer side at `longest_edge`, the other one made even."""
    ratio = width / height
    if width >= height:
        return max(1, _even(int(longest_edge / ratio))), longest_edge
    return longest_edge, max(1, _even(int(longest_edge * ratio)))


def whole_tiles(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width scaled up to multiples of `side`."""
    ratio = width / height
    if width >= height:
        width = _up(width, side)
        return _up(int(width / ratio), side), width
    height = _up(height, side)
    return height, _up(int(height * ratio), side)


def direct(height: int, width: int, side: int, longest_edge: int, *, enlarge: bool) -> tuple[int, int]:
    """Height and width in whole tiles: the longer side as it is or, to `enlarge`, at `longest_edge`; never above it."""
    long, short = max(height, width), min(height, width)
    edge = longest_edge if enlarge else min(longest_edge, _up(long, side))
    other = max(side, math.ceil(short * (edge / long) / side) * side)
    return (other, edge) if width >= height else (edge, other)


def fit(
    height: int, width: int, side: int, longest_edge: int, max_tiles: int, tiling: str = "scaled"
) -> tuple[int, Grid]:
    """The greatest longest edge, of `longest_edge` and the multiples of `side` below it, at which a picture gives at
    most `max_tiles` squares (the whole picture included), and the grid that it is cut into there."""
    for edge in (longest_edge, *range((longest_edge - 1) // side * side, side, -side)):
        if tiling == "scaled":
            tall, wide = whole_tiles(*scaled(height, width, edge), side)
        else:
            tall, wide = direct(height, width, side, edge, enlarge=tiling == "direct_enlarged")
        grid = Grid(tall // side, wide // side)
        if grid.rows * grid.columns == 1:
            break
        if grid.tiles <= max_tiles:
            return edge, grid
    return longest_edge, Grid()


def _even(number: int) -> int:
    return number + number % 2


def _up(number: int, side: int) -> int:
    return math.ceil(number / side) * side
