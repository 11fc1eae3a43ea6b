"""Figures as functions of sums, their bootstrap intervals, and the difference of two engines on the same photographs.

Every figure is a formula over statistics that add up: a mean is (sum, count), BLEU is ten counts. So one resampling,
over photographs because the questions about one photograph are no independent samples, serves them all.
B. Efron, Bootstrap methods: another look at the jackknife (1979); percentile intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.llm.evaluation.bleu import bleu

Array = npt.NDArray[np.float64]
Stats = tuple[float, ...]

DRAWS = 1000
_LEVEL = (2.5, 97.5)


def _mean(sums: Array) -> Array:
    """(sum, count)"""
    return np.asarray(sums[..., 0] / sums[..., 1])


def _balanced(sums: Array) -> Array:
    """(right of the first class, its count, right of the second class, its count): the mean of both shares."""
    return np.asarray((sums[..., 0] / sums[..., 1] + sums[..., 2] / sums[..., 3]) / 2)


FORMULAS: dict[str, Callable[[Array], Array]] = {
    "mean": _mean,
    "balanced": _balanced,
    "bleu1": lambda sums: bleu(sums, 1),
    "bleu2": lambda sums: bleu(sums, 2),
    "bleu3": lambda sums: bleu(sums, 3),
    "bleu4": lambda sums: bleu(sums, 4),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """What is reported: `formula` of FORMULAS times `scale`, in `unit` ("%" or "" for points)."""

    name: str
    formula: str = "mean"
    unit: str = "%"
    scale: float = 100.0
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure's value with its 95 % interval, from `count` photographs."""

    value: float
    low: float
    high: float
    count: int


def by_photo(photos: Sequence[str], stats: Sequence[Stats]) -> dict[str, Stats]:
    """The sum of the statistics of each photograph's items."""
    sums: dict[str, Array] = {}
    for photo, values in zip(photos, stats, strict=True):
        sums[photo] = sums[photo] + values if photo in sums else np.asarray(values, np.float64)
    return {photo: tuple(total.tolist()) for photo, total in sums.items()}


def estimate(figure: Figure, sums: Mapping[str, Stats]) -> Estimate | None:
    """The figure over photographs' `sums`; None where it has nothing to count."""
    array = np.array(list(sums.values()), np.float64)
    value = _apply(figure, array.sum(0)) if len(array) else np.asarray(np.nan)
    if not np.isfinite(value):
        return None
    low, high = _interval(_apply(figure, _draws(len(array)) @ array))
    return Estimate(float(value), low, high, len(array))


def difference(figure: Figure, ours: Mapping[str, Stats], theirs: Mapping[str, Stats]) -> Estimate | None:
    """`ours` minus `theirs` on the photographs that both have: paired, so that what is hard for both cancels out."""
    shared = [photo for photo in ours if photo in theirs]
    if not shared:
        return None
    a, b = (np.array([sums[photo] for photo in shared], np.float64) for sums in (ours, theirs))
    value = _apply(figure, a.sum(0)) - _apply(figure, b.sum(0))
    if not np.isfinite(value):
        return None
    weights = _draws(len(shared))
    low, high = _interval(_apply(figure, weights @ a) - _apply(figure, weights @ b))
    return Estimate(float(value), low, high, len(shared))


def _apply(figure: Figure, sums: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return figure.scale * FORMULAS[figure.formula](sums)


def _draws(count: int) -> Array:
    """How often each of `count` photographs is drawn, DRAWS times; the same for the same count."""
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    return drawn.astype(np.float64)


def _interval(values: Array) -> tuple[float, float]:
    low, high = np.nanpercentile(values, _LEVEL)
    return float(low), float(high)
