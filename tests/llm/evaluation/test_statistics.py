from __future__ import annotations

import numpy as np
import pytest

from lorgnette.llm.evaluation.statistics import Estimate, Figure, by_photo, difference, estimate

SHARE = Figure("share")


def test_a_mean_and_its_interval() -> None:
    random = np.random.default_rng(1)
    values = random.random(400) < 0.7
    found = estimate(SHARE, {str(i): (float(v), 1.0) for i, v in enumerate(values)})
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(100 * values.mean())
    # The normal approximation: 1.96 standard errors on either side.
    half = 100 * 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / 400)
    assert found.low == pytest.approx(found.value - half, abs=0.6)
    assert found.high == pytest.approx(found.value + half, abs=0.6)


def test_photographs_are_resampled_not_questions() -> None:
    ten_each = by_photo([str(i // 10) for i in range(200)], [(float(i < 100), 1.0) for i in range(200)])
    assert len(ten_each) == 20 and ten_each["0"] == (10.0, 10.0)
    clustered = estimate(SHARE, ten_each)
    single = estimate(SHARE, {str(i): (float(i < 100), 1.0) for i in range(200)})
    assert clustered is not None and single is not None
    assert clustered.high - clustered.low > 2.5 * (single.high - single.low)


def test_balanced_accuracy() -> None:
    figure = Figure("balanced", "balanced")
    found = estimate(figure, {"a": (9.0, 10.0, 0.0, 0.0), "b": (0.0, 0.0, 1.0, 2.0)})
    assert found is not None and found.value == pytest.approx((90 + 50) / 2)


def test_nothing_to_count() -> None:
    assert estimate(SHARE, {}) is None
    assert estimate(Figure("balanced", "balanced"), {"a": (1.0, 1.0, 0.0, 0.0)}) is None


def test_a_difference_is_paired() -> None:
    random = np.random.default_rng(0)
    theirs = random.random(200)
    ours = {str(i): (value + 0.01, 1.0) for i, value in enumerate(theirs)}
    found = difference(SHARE, ours, {str(i): (value, 1.0) for i, value in enumerate(theirs)} | {"alone": (9.0, 1.0)})
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
    assert found.count == 200
    assert difference(SHARE, ours, {}) is None
