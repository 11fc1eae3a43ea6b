"""How far an answer's own probability tells whether it is right.

A logistic curve turns the mean log-probability of an answer's tokens into a chance of being right (see `Calibration`);
the expected calibration error (C. Guo and others, 2017) says how far such chances are from what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.llm.confidence import Calibration

Array = npt.NDArray[np.float64]

BINS = 10
_LEAST = 20  # answers, and at least _LEAST_EACH right and wrong ones
_LEAST_EACH = 5


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose chance lies in [low, high): how many, the mean chance, and the share that was right."""

    low: float
    high: float
    count: int
    chance: float
    right: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """`calibration` is fitted on all answers. `ece` is of chances that were fitted on the other half of the
    photographs, `ece_plain` that of exp(mean log-probability); both 0 to 1. `bins` belong to `ece`."""

    calibration: Calibration
    ece: float
    ece_plain: float
    count: int
    bins: tuple[Bin, ...]


def measure_reliability(
    log_probabilities: Sequence[float], right: Sequence[bool], photos: Sequence[str]
) -> Reliability | None:
    """From the mean log-probabilities of answers about `photos`; None where there are too few answers, or too few right
    or wrong ones."""
    x, y = np.array(log_probabilities, np.float64), np.array(right, bool)
    if len(x) < _LEAST or min(y.sum(), (~y).sum()) < _LEAST_EACH:
        return None
    whole = Calibration.fit(x.tolist(), y.tolist())
    order = {photo: index for index, photo in enumerate(dict.fromkeys(photos))}
    half = np.array([order[photo] % 2 == 0 for photo in photos])
    chances = np.empty(len(x))
    for test in (half, ~half):
        both = 0 < y[~test].sum() < (~test).sum()
        fitted = Calibration.fit(x[~test].tolist(), y[~test].tolist()) if both else whole
        chances[test] = [fitted.chance(value) for value in x[test].tolist()]
    bins = reliability_bins(chances, y)
    plain = expected_calibration_error(reliability_bins(np.exp(x), y))
    return Reliability(whole, expected_calibration_error(bins), plain, len(x), bins)


def reliability_bins(chances: Array, right: npt.NDArray[np.bool_]) -> tuple[Bin, ...]:
    """BINS bins of equal width; empty ones are left out."""
    places = np.minimum((chances * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(
            index / BINS,
            (index + 1) / BINS,
            int((places == index).sum()),
            float(chances[places == index].mean()),
            float(right[places == index].mean()),
        )
        for index in np.unique(places).tolist()
    )


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean over answers of the distance between their bin's chance and its share of right ones."""
    total = sum(entry.count for entry in bins)
    return sum(entry.count * abs(entry.chance - entry.right) for entry in bins) / total if total else 0.0
