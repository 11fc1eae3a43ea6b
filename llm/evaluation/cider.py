"""CIDEr-D, the consensus score of captions: R. Vedantam, C. Zitnick and D. Parikh (CVPR 2015), as used for COCO.

Captions are lower-cased and split into words without punctuation (COCO's PTB tokenizer does nearly that; no stemming).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

_ORDERS = 4
_SIGMA = 6.0  # of the length penalty, in words
_SCALE = 10.0

Ngrams = Counter[tuple[str, ...]]


def _words(caption: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", caption.lower())


def _ngrams(words: Sequence[str]) -> Ngrams:
    return Counter(tuple(words[i : i + n]) for n in range(1, _ORDERS + 1) for i in range(len(words) - n + 1))


def _weigh(counts: Ngrams, documents: Ngrams, photos: int) -> tuple[list[dict[tuple[str, ...], float]], list[float]]:
    """TF-IDF vectors by order, and their norms."""
    vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(_ORDERS)]
    for gram, count in counts.items():
        vectors[len(gram) - 1][gram] = count * (math.log(photos) - math.log(max(1, documents[gram])))
    return vectors, [math.sqrt(sum(w * w for w in vector.values())) for vector in vectors]


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """One score for each photo (a good caption scores around 1; papers quote the mean times 100).

    `references` are the captions that people wrote of each photo; document frequencies come from them all.
    """
    refs = [[_words(text) for text in texts] for texts in references]
    documents: Ngrams = Counter()
    for texts in refs:
        documents.update(set().union(*(_ngrams(words) for words in texts)))
    scores = []
    for candidate, texts in zip(candidates, refs, strict=True):
        words = _words(candidate)
        mine, my_norms = _weigh(_ngrams(words), documents, len(refs))
        total = 0.0
        for text in texts:
            theirs, their_norms = _weigh(_ngrams(text), documents, len(refs))
            penalty = math.exp(-((len(words) - len(text)) ** 2) / (2 * _SIGMA**2))
            for a, b, norm_a, norm_b in zip(mine, theirs, my_norms, their_norms, strict=True):
                if norm_a and norm_b:
                    overlap = sum(min(weight, b[gram]) * b[gram] for gram, weight in a.items() if gram in b)
                    total += penalty * overlap / (norm_a * norm_b)
        scores.append(_SCALE * total / (_ORDERS * len(texts)))
    return scores
