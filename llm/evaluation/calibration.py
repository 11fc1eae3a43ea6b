"""How far an answer's own probability tells whether it is right.

A logistic curve (J. Platt, 1999, with his targets, fitted by Newton's method) turns the mean log-probability of an
answer's tokens into a chance of being right; the expected calibration error (C. Guo and others, 2017) says how far such
chances are from what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BINS = 10
_LEAST = 20  # answers, and at least _LEAST_EACH right and wrong ones
_LEAST_EACH = 5
_STEPS = 50


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose chance lies in [low, high): how many, the mean chance, and the share that was right."""

    low: float
    high: float
    count: int
    chance: float
    right: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """chance = 1 / (1 + exp(-(slope * mean log-probability + intercept))).

    `ece` is of chances that were fitted on the other half of the photographs, `ece_plain` that of exp(mean
    log-probability); both 0 to 1. `bins` belong to `ece`.
    """

    slope: float
    intercept: float
    ece: float
    ece_plain: float
    count: int
    bins: tuple[Bin, ...]


def calibrate(log_probabilities: Sequence[float], right: Sequence[bool], photos: Sequence[str]) -> Calibration | None:
    """A calibration from answers about `photos`; None where there are too few answers, or only right or wrong ones."""
    x, y = np.array(log_probabilities, np.float64), np.array(right, bool)
    if len(x) < _LEAST or min(y.sum(), (~y).sum()) < _LEAST_EACH:
        return None
    slope, intercept = fit_logistic(x, y)
    order = {photo: index for index, photo in enumerate(dict.fromkeys(photos))}
    half = np.array([order[photo] % 2 == 0 for photo in photos])
    held_out = np.empty(len(x))
    for test in (half, ~half):
        a, b = fit_logistic(x[~test], y[~test]) if 0 < test.sum() < len(test) else (slope, intercept)
        held_out[test] = sigmoid(a * x[test] + b)
    bins = reliability(held_out, y)
    plain = expected_calibration_error(reliability(np.exp(x), y))
    return Calibration(slope, intercept, expected_calibration_error(bins), plain, len(x), bins)


def fit_logistic(x: Array, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the likeliest curve. The targets are Platt's, not 0 and 1, so that it stays finite."""
    positive, negative = int(right.sum()), int((~right).sum())
    targets = np.where(right, (positive + 1) / (positive + 2), 1 / (negative + 2))
    centre, spread = float(x.mean()), float(x.std()) or 1.0
    inputs = np.stack([(x - centre) / spread, np.ones(len(x))], 1)
    weights = np.array([0.0, np.log((positive + 1) / (negative + 1))])
    for _ in range(_STEPS):
        chance = sigmoid(inputs @ weights)
        gradient = inputs.T @ (chance - targets)
        hessian = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - np.clip(step, -4.0, 4.0)
        if np.abs(step).max() < 1e-10:
            break
    return float(weights[0] / spread), float(weights[1] - weights[0] * centre / spread)


def reliability(chances: Array, right: npt.NDArray[np.bool_]) -> tuple[Bin, ...]:
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


def sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -500.0, 500.0))))
