from __future__ import annotations

import numpy as np
import pytest

from lorgnette.llm.evaluation.calibration import (
    Bin,
    expected_calibration_error,
    measure_reliability,
    reliability_bins,
)


def test_calibration_error_by_hand() -> None:
    chances = np.array([0.05, 0.05, 0.95, 0.95, 1.0])
    bins = reliability_bins(chances, np.array([False, True, True, True, False]))
    assert bins == (
        Bin(0.0, 0.1, 2, pytest.approx(0.05), 0.5),
        Bin(0.9, 1.0, 3, pytest.approx(2.9 / 3), pytest.approx(2 / 3)),
    )
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.45 + 3 * 0.3) / 5)
    assert expected_calibration_error([]) == 0.0


def test_overconfidence_is_found_and_put_right() -> None:
    random = np.random.default_rng(3)
    log_probabilities = -random.exponential(0.5, 4000)
    chance = 1 / (1 + np.exp(-(2.0 * log_probabilities + 0.5)))
    right = random.random(4000) < chance
    found = measure_reliability(log_probabilities.tolist(), right.tolist(), [str(i // 4) for i in range(4000)])
    assert found is not None
    assert found.calibration.slope == pytest.approx(2.0, abs=0.3)
    assert found.calibration.intercept == pytest.approx(0.5, abs=0.2)
    assert found.ece < 0.03 < found.ece_plain


def test_too_few_answers_give_nothing() -> None:
    assert measure_reliability([-1.0] * 10, [True, False] * 5, ["a"] * 10) is None
    assert measure_reliability([-1.0] * 100, [True] * 100, ["a"] * 100) is None
