"""Confidence: what the tokens say, and what that is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lorgnette.llm.bundle import BundleError
from lorgnette.llm.confidence import Calibration, Confidence, confidence


def test_the_mean_is_of_the_tokens() -> None:
    assert confidence([math.log(0.5), math.log(0.125)], None) == Confidence(pytest.approx(math.log(0.25)))
    assert confidence([], Calibration(1.0, 0.0)) is None


def test_the_calibrated_score_is_the_logistic_function() -> None:
    sure = confidence([-0.5, -1.5], Calibration(2.0, 3.0))
    assert sure is not None
    assert sure.calibrated == pytest.approx(1 / (1 + math.exp(-(2.0 * -1.0 + 3.0))))
    assert Calibration(1.0, 0.0).chance(-1e9) == 0.0
    assert Calibration(-1.0, 0.0).chance(-1e9) == 1.0


def test_a_bundle_without_coefficients_has_no_calibration() -> None:
    assert Calibration.of({}) is None
    assert Calibration.of({"slope": 1.5, "intercept": 0.25}) == Calibration(1.5, 0.25)
    with pytest.raises(BundleError, match="slope and intercept"):
        Calibration.of({"slope": 1.5})


def test_fitting_finds_the_coefficients_that_made_the_answers() -> None:
    random = np.random.default_rng(0)
    scores = -random.exponential(0.7, 20_000)
    truth = Calibration(2.5, 1.2)
    right = [random.random() < truth.chance(score) for score in scores]
    fitted = Calibration.fit(scores.tolist(), right)
    assert fitted.slope == pytest.approx(truth.slope, rel=0.06)
    assert fitted.intercept == pytest.approx(truth.intercept, rel=0.06)


def test_fitting_stays_finite_where_right_and_wrong_part() -> None:
    scores = [-0.1] * 10 + [-2.0] * 10
    fitted = Calibration.fit(scores, [True] * 10 + [False] * 10)
    # The targets themselves: (10 + 1) / (10 + 2) and 1 / (10 + 2).
    assert fitted.chance(-0.1) == pytest.approx(11 / 12, abs=1e-6)
    assert fitted.chance(-2.0) == pytest.approx(1 / 12, abs=1e-6)


def test_scores_that_say_nothing_give_the_base_rate() -> None:
    fitted = Calibration.fit([-0.5] * 100, [True] * 75 + [False] * 25)
    assert fitted.chance(-0.5) == pytest.approx(0.75, abs=0.01)


def test_fitting_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="right answers and wrong"):
        Calibration.fit([-0.5, -0.6], [True, True])
