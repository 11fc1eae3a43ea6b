from __future__ import annotations

import math

import numpy as np
import pytest

from lorgnette.llm.evaluation.bleu import bleu, bleu_counts

# The examples of Papineni et al. (2002), sections 2 and 2.1.
FIRST = "It is a guide to action which ensures that the military always obeys the commands of the party"
SECOND = "It is to insure the troops forever hearing the activity guidebook that party direct"
REFERENCES = [
    "It is a guide to action that ensures that the military will forever heed Party commands",
    "It is the guiding principle which guarantees the military forces always being under the command of the Party",
    "It is the practical guide for the army always to heed the directions of the party",
]


def test_the_papers_modified_precisions() -> None:
    first, second = bleu_counts(FIRST, REFERENCES), bleu_counts(SECOND, REFERENCES)
    assert first[:4] == (17, 18, 10, 17)  # 17/18 and 10/17 in the paper
    assert second[:4] == (8, 14, 1, 13)  # 8/14 and 1/13
    clipped = bleu_counts("the the the the the the the", ["The cat is on the mat.", "There is a cat on the mat."])
    assert clipped[:2] == (2, 7)


def test_the_first_example_as_other_implementations_give_it() -> None:
    # nltk.translate.bleu_score documents 0.5045... for this candidate and these references.
    assert 0.5045 <= bleu(np.array(bleu_counts(FIRST, REFERENCES)), 4) < 0.5046


def test_short_candidates_are_penalised_once_for_the_corpus() -> None:
    counts = np.array([bleu_counts("a b", ["a b c d"]), bleu_counts("e f g h", ["e f g h"])])
    assert bleu(counts.sum(0), 1) == pytest.approx(math.exp(1 - 8 / 6))
    assert bleu(counts, 1) == pytest.approx([math.exp(1 - 4 / 2), 1.0])


def test_the_closest_reference_counts_and_the_shorter_of_two() -> None:
    assert bleu_counts("a b c", ["a", "a b c d", "a b"])[8:] == (3, 2)


def test_nothing_said_scores_nothing() -> None:
    assert bleu(np.array(bleu_counts("", ["a b"])), 2) == 0.0
