from __future__ import annotations

import math

import pytest

from lorgnette.llm.evaluation.cider import cider_d

REFERENCES = [["A dog runs.", "The dog runs fast."], ["A cat sleeps on a mat.", "A cat is asleep."], ["A red car."] * 2]


def test_a_caption_like_all_references_scores_ten() -> None:
    same = [["a dog runs on grass"] * 5, ["two men play chess outside"] * 5]
    assert cider_d(["A dog runs on grass.", "Two men play chess outside"], same) == pytest.approx([10.0, 10.0])


def test_another_photos_caption_scores_nothing() -> None:
    scores = cider_d(["A red car.", "A dog runs.", "A cat is asleep."], REFERENCES)
    assert scores[1] == pytest.approx(0.0) and max(scores) < 1


def test_against_a_calculation_by_hand() -> None:
    # Two photos, one reference each; "x" is rare (in one photo), "a" is in both and weighs nothing. The candidate
    # repeats the rare word: clipped to one, so similarity = 1 * 1 / (2 * 1) in unigrams; of its bigrams "a x" is the
    # reference's and "x x" is not: 1 / (sqrt(2) * 1); longer n-grams do not match. The lengths differ by one word.
    expected = 10 * math.exp(-1 / 72) * (1 / 2 + 1 / math.sqrt(2)) / 4
    assert cider_d(["a x x", "a y"], [["a x"], ["a y"]])[0] == pytest.approx(expected)
