"""How sure an answer is: from the probabilities of its tokens to the chance that it is right.

A model's own probabilities order its answers well but are no chances: they are about words, not about truth, and two
good wordings share between them what one right answer deserves. Two coefficients that were fitted on answers known to
be right or wrong make them so (Platt, Probabilistic Outputs for Support Vector Machines, 1999).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.llm.bundle import BundleError


@dataclass(frozen=True, slots=True)
class Confidence:
    """`mean_log_probability` is the mean natural logarithm of the tokens' probabilities; `calibrated` the chance that
    the answer is right, 0 to 1 (None where nobody measured the model's coefficients)."""

    mean_log_probability: float
    calibrated: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The chance is sigmoid(`slope` x mean log-probability + `intercept`)."""

    slope: float
    intercept: float

    @classmethod
    def of(cls, coefficients: Mapping[str, float]) -> Calibration | None:
        """That of a bundle's manifest (`ModelBundle.confidence`), None where it has none. Raises BundleError."""
        if not coefficients:
            return None
        if not {"slope", "intercept"} <= set(coefficients):
            raise BundleError("the bundle's confidence needs slope and intercept", "build the bundle again")
        return cls(coefficients["slope"], coefficients["intercept"])

    @classmethod
    def fit(cls, mean_log_probabilities: Sequence[float], right: Sequence[bool]) -> Calibration:
        """The coefficients under which it is likeliest that just these answers were right.

        As Platt did, right answers count as (n + 1) / (n + 2) instead of 1 and wrong ones as 1 / (n + 2) instead of 0,
        n being their number, which keeps the coefficients finite where the scores part right from wrong altogether.
        Raises ValueError without both kinds.
        """
        truth = np.asarray(right, dtype=bool)
        rights, wrongs = int(truth.sum()), int((~truth).sum())
        if not rights or not wrongs:
            raise ValueError("calibration needs right answers and wrong ones")
        target = np.where(truth, (rights + 1) / (rights + 2), 1 / (wrongs + 2))
        score = np.asarray(mean_log_probabilities, dtype=np.float64)
        # Newton's method in units of the scores' own spread; the loss is convex.
        centre, spread = float(score.mean()), float(score.std()) or 1.0
        inputs = np.stack([(score - centre) / spread, np.ones_like(score)], axis=1)
        weights = np.array([0.0, np.log((rights + 1) / (wrongs + 1))])
        for _ in range(100):
            chance = _sigmoid(inputs @ weights)
            slack = np.maximum(chance * (1 - chance), 1e-12)
            hessian = inputs.T @ (inputs * slack[:, None]) + 1e-9 * np.eye(2)
            step = np.linalg.solve(hessian, inputs.T @ (target - chance))
            weights += step
            if np.abs(step).max() < 1e-9:
                break
        slope = float(weights[0]) / spread
        return cls(slope, float(weights[1]) - slope * centre)

    def chance(self, mean_log_probability: float) -> float:
        return float(_sigmoid(np.float64(self.slope * mean_log_probability + self.intercept)))


def confidence(log_probabilities: Sequence[float], calibration: Calibration | None) -> Confidence | None:
    """Of an answer by its tokens' log-probabilities; None for an answer without tokens."""
    if not log_probabilities:
        return None
    mean = sum(log_probabilities) / len(log_probabilities)
    return Confidence(mean, calibration.chance(mean) if calibration else None)


def _sigmoid(x: npt.NDArray[np.float64] | np.float64) -> npt.NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))  # does not overflow
