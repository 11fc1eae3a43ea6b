"""BLEU: K. Papineni, S. Roukos, T. Ward and W. Zhu (ACL 2002), over the words that CIDEr-D compares, without smoothing.

A corpus's score is made of sums over its sentences (not a mean of sentence scores), so a sentence gives its counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lorgnette.llm.evaluation.cider import caption_words

ORDERS = 4
Counts = npt.NDArray[np.float64]


def bleu_counts(candidate: str, references: Sequence[str]) -> tuple[float, ...]:
    """For n = 1 to 4 the clipped matches and the n-grams of the candidate, then its length and the closest reference's
    (of two that are equally close the shorter one)."""
    words, texts = caption_words(candidate), [caption_words(reference) for reference in references]
    counts: list[float] = []
    for n in range(1, ORDERS + 1):
        mine = _ngrams(words, n)
        most: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            most |= _ngrams(text, n)
        counts += [(mine & most).total(), mine.total()]
    closest = min((len(text) for text in texts), key=lambda length: (abs(length - len(words)), length))
    return (*counts, float(len(words)), float(closest))


def bleu(counts: Counts, order: int) -> Counts:
    """BLEU-`order` (0 to 1) of summed counts [..., 10]."""
    matches, totals = counts[..., 0 : 2 * order : 2], counts[..., 1 : 2 * order : 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(matches > 0, matches / totals, 0.0)
        mean = np.exp(np.log(precision).mean(-1))
        brevity = np.exp(np.minimum(0.0, 1.0 - counts[..., 9] / counts[..., 8]))
    return np.asarray(np.where(counts[..., 8] > 0, mean * brevity, 0.0))


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
