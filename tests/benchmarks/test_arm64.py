"""What `benchmarks/arm64.py` makes of two runs; the runs themselves want an emulator and are made on demand."""

from __future__ import annotations

import numpy as np
import pytest
from arm64 import compare, find_flips

from lorgnette.export.verification.comparison import Flip


def test_flips_have_the_margin_of_the_first_run() -> None:
    here = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 2.75]], np.float32)
    there = np.array([[0.0, 1.5, 1.0], [2.5, 0.0, 2.75]], np.float32)
    assert find_flips(here, here) == ()
    assert find_flips(here, there) == (Flip(1, 0, 2, 0.25),)


def test_two_runs_that_round_otherwise_are_compared() -> None:
    logits, rows = np.array([[0.0, 2.0], [1.0, 0.0]], np.float32), np.ones((3, 4), np.float32)
    asked = {"question": "Q?", "picture": "", "text": "ba", "s": 0.5}
    same = compare(asked, 9.0, (logits, rows), (logits + 1, 2 * rows))
    assert (same.here, same.there, same.flips) == ((1, 0), (1, 0), ())
    assert same.mean_kl == pytest.approx(0.0, abs=1e-9)
    assert same.rows_cosine == pytest.approx(1.0)
    other = compare(asked, 9.0, (logits, rows), (logits[::-1], rows))
    assert (other.there, len(other.flips)) == ((0, 1), 2)
    assert other.mean_kl > 0.5
