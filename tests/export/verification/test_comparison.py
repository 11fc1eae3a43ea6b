"""Figures of one model against another, on models whose figures are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lorgnette.export.verification.bars import cache_bars, exact_bars, pixel_bars, rounding_bars
from lorgnette.export.verification.checks import CacheFigures
from lorgnette.export.verification.comparison import NEAR_TIE, compare, record
from lorgnette.export.verification.subject import Case, FloatArray, Remembered

CASE = Case("", "Which?", (1, 2), None)
SEEN = Case("cat.jpg", "Which?", (1, 2), np.ones((1, 3, 2, 2), np.float32))


class Table:
    """Three tokens; the distribution at each place of an answer is given, whatever came before."""

    def __init__(self, *rows: tuple[float, float, float], features: float = 1.0) -> None:
        self._rows = np.log(np.array(rows, np.float32))
        self._features = features

    def features(self, pixels: FloatArray) -> FloatArray:
        return np.array([[self._features, 1.0]], np.float32)

    def logits(self, case: Case, answer: list[int]) -> FloatArray:
        return self._rows[: len(answer) + 1] + 5  # logits are free to be shifted

    def greedy(self, case: Case, count: int) -> list[int]:
        return [int(row.argmax()) for row in self._rows[:count]]


REFERENCE = Table((0.8, 0.1, 0.1), (0.2, 0.5, 0.3))


def test_a_model_against_itself() -> None:
    found = compare("it", REFERENCE, record("itself", REFERENCE, [CASE, SEEN], 2))
    assert (found.agreement, found.agreement_or_near_tie) == (1.0, 1.0)
    assert found.mean_kl == pytest.approx(0.0, abs=1e-7)
    assert found.features is not None and found.features.cosine == pytest.approx(1.0)
    assert all(bar.met for bar in exact_bars(found, ""))


class Asked:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.questions: list[str] = []

    def features(self, pixels: FloatArray) -> FloatArray:
        self.questions.append("features")
        return REFERENCE.features(pixels)

    def logits(self, case: Case, answer: list[int]) -> FloatArray:
        self.questions.append(f"logits {case.picture} {answer}")
        return REFERENCE.logits(case, answer)

    def greedy(self, case: Case, count: int) -> list[int]:
        self.questions.append(f"greedy {case.picture} {count}")
        return REFERENCE.greedy(case, count)


def test_what_is_remembered_is_asked_once() -> None:
    asked = Asked()
    remembered = Remembered(asked)
    wanted = record("itself", REFERENCE, [CASE, SEEN], 2)
    found = compare("it", remembered, wanted)
    again = record("it", remembered, [CASE, SEEN], 2)
    assert len(asked.questions) == len(set(asked.questions)) == 5
    assert found.agreement == 1.0
    assert again.tokens == wanted.tokens
    assert remembered.logits(CASE, []).shape != remembered.logits(CASE, [1]).shape


def test_a_flip_is_weighed_by_the_reference() -> None:
    """At the second place the other chooses what the reference finds 0.3 / 0.5 as likely: no near-tie."""
    found = compare("it", Table((0.7, 0.2, 0.1), (0.2, 0.3, 0.5)), record("exact", REFERENCE, [CASE], 2))
    (flip,) = found.answers[0].flips
    assert (flip.place, flip.wanted, flip.chosen) == (1, 1, 2)
    assert flip.margin == pytest.approx(math.log(0.5 / 0.3), abs=1e-5) and flip.margin > NEAR_TIE
    assert found.agreement == found.agreement_or_near_tie == 0.5
    expected = 0.8 * math.log(8 / 7) + 0.1 * math.log(0.5) + 0 + 0.5 * math.log(5 / 3) + 0.3 * math.log(0.6)
    assert found.mean_kl == pytest.approx(expected / 2, abs=1e-5)
    assert found.features is None


def test_a_swap_of_two_alike_is_a_near_tie() -> None:
    reference, other = Table((0.41, 0.4, 0.19)), Table((0.4, 0.41, 0.19))
    found = compare("int4", other, record("fp32", reference, [CASE], 1))
    assert (found.agreement, found.agreement_or_near_tie) == (0.0, 1.0)
    assert rounding_bars([found], [["fp32", "int4"]])[0].met is True
    assert exact_bars(found, "")[0].met is False


def test_features_that_differ() -> None:
    found = compare("it", Table((0.8, 0.1, 0.1), features=3.0), record("exact", REFERENCE, [SEEN], 1))
    assert found.features is not None
    assert found.features.max_difference == 2.0
    assert found.features.cosine == pytest.approx(4 / math.sqrt(20))
    assert exact_bars(found, "")[1].met is False


def test_bars_that_were_not_measured_are_neither_met_nor_missed() -> None:
    for bar in (*exact_bars(None, "no PyTorch"), *pixel_bars(None, "no processor")):
        assert bar.met is None and "not measured: no" in bar.measured
    assert pixel_bars(0.5, "")[0].met is False
    assert [bar.met for bar in cache_bars(CacheFigures(chunked=1e-3, reused=1e-9))] == [False, False]
    assert [bar.met for bar in cache_bars(CacheFigures(chunked=1e-5, reused=0.0))] == [True, True]
