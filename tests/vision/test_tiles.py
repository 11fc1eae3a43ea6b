"""The grid of a picture under a budget of tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorgnette.vision.tiles import TILINGS, Grid, direct, fit, scaled, whole_tiles


@pytest.mark.parametrize(
    ("size", "most", "edge", "grid"),
    [
        ((480, 640), 17, 2048, Grid(3, 4)),
        ((480, 640), 13, 2048, Grid(3, 4)),
        ((480, 640), 12, 1536, Grid(3, 3)),
        ((480, 640), 5, 1024, Grid(2, 2)),
        ((480, 640), 4, 2048, Grid()),
        ((480, 640), 1, 2048, Grid()),
        ((100, 1000), 5, 2048, Grid(1, 4)),
        ((1000, 100), 4, 1536, Grid(3, 1)),
    ],
)
def test_the_finest_grid_that_the_budget_allows(size: tuple[int, int], most: int, edge: int, grid: Grid) -> None:
    assert fit(*size, 512, 2048, most) == (edge, grid)


@pytest.mark.parametrize(
    ("size", "enlarge", "expected"),
    [
        ((480, 640), False, (1024, 1024)),
        ((480, 640), True, (1536, 2048)),
        ((512, 512), False, (512, 512)),
        ((512, 513), False, (1024, 1024)),
        ((300, 200), False, (512, 512)),
        ((4000, 3000), False, (2048, 1536)),
        ((4000, 100), True, (2048, 512)),
    ],
)
def test_direct_takes_no_more_tiles_than_the_picture_fills(
    size: tuple[int, int], enlarge: bool, expected: tuple[int, int]
) -> None:
    assert direct(*size, 512, 2048, enlarge=enlarge) == expected


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 20), st.sampled_from(TILINGS[1:]))
def test_any_picture_fits_directly(height: int, width: int, most: int, tiling: str) -> None:
    edge, grid = fit(height, width, 512, 2048, most, tiling)
    assert grid.tiles <= most and grid.rows * grid.columns != 1 and max(grid.rows, grid.columns) <= 4
    tall, wide = direct(height, width, 512, edge, enlarge=tiling == "direct_enlarged")
    assert grid == Grid() or (tall, wide) == (512 * grid.rows, 512 * grid.columns)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 20))
def test_any_picture_fits(height: int, width: int, most: int) -> None:
    edge, grid = fit(height, width, 512, 2048, most)
    assert grid.tiles <= most and grid.rows * grid.columns != 1
    tall, wide = whole_tiles(*scaled(height, width, edge), 512)
    assert grid == Grid() or (tall, wide) == (512 * grid.rows, 512 * grid.columns)
