"""CIDEr-D, the consensus score of captions: R. Vedantam, C. Zitnick and D. Parikh (CVPR 2015), as used for COCO.

Captions are lower-cased and split into words without punctuation (COCO's PTB tokenizer does nearly that; no stemming).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_ORDERS = 4
_SIGMA = 6.0  # of the length penalty, in words
_SCALE = 10.0

Ngrams = Counter[tuple[str, ...]]


def caption_words(caption: str) -> list[str]:
    """The words that are compared."""
    return re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", caption.lower())


def _ngrams(words: Sequence[str]) -> Ngrams:
    return Counter(tuple(words[i : i + n]) for n in range(1, _ORDERS + 1) for i in range(len(words) - n + 1))


def _weigh(counts: Ngrams, documents: Ngrams, photos: int) -> tuple[list[dict[tuple[str, ...], float]], list[float]]:
    """TF-IDF vectors by order, and their norms."""
    vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(_ORDERS)]
    for gram, count in counts.items():
        vectors[len(gram) - 1][gram] = count * (math.log(photos) - math.log(max(1, documents[gram])))
    return vectors, [math.sqrt(sum(w * w for w in vector.values())) for vector in vectors]


class _Weighed(NamedTuple):
    """A caption's length in words, and its TF-IDF vectors by order with their norms."""

    length: int
    vectors: list[dict[tuple[str, ...], float]]
    norms: list[float]


class CiderScorer:
    """Scores captions against references with the document frequencies of a fixed collection.

    `collection` are the captions that people wrote of each photo.
    """

    def __init__(self, collection: Sequence[Sequence[str]]) -> None:
        self._documents: Ngrams = Counter()
        self._photos = len(collection)
        for texts in collection:
            self._documents.update(set().union(*(_ngrams(caption_words(text)) for text in texts)))

    def score(self, candidate: str, references: Sequence[str]) -> float:
        """CIDEr-D of one caption: 0 to 10, a good one scores around 1."""
        return self.scores([candidate], references)[0]

    def scores(self, candidates: Sequence[str], references: Sequence[str]) -> list[float]:
        """CIDEr-D of several captions of one photo."""
        theirs = [self._weighed(text) for text in references]
        return [_mean_agreement(self._weighed(text), theirs) for text in candidates]

    def among(self, captions: Sequence[str]) -> list[float]:
        """CIDEr-D of each of a photo's captions against the others."""
        weighed = [self._weighed(text) for text in captions]
        return [_mean_agreement(one, [*weighed[:i], *weighed[i + 1 :]]) for i, one in enumerate(weighed)]

    def _weighed(self, text: str) -> _Weighed:
        words = caption_words(text)
        return _Weighed(len(words), *_weigh(_ngrams(words), self._documents, self._photos))


def _mean_agreement(mine: _Weighed, others: Sequence[_Weighed]) -> float:
    return _SCALE * sum(_agreement(mine, theirs) for theirs in others) / (_ORDERS * len(others))


def _agreement(mine: _Weighed, theirs: _Weighed) -> float:
    total = 0.0
    for a, b, norm_a, norm_b in zip(mine.vectors, theirs.vectors, mine.norms, theirs.norms, strict=True):
        if norm_a and norm_b:
            overlap = sum(min(weight, b[gram]) * b[gram] for gram, weight in a.items() if gram in b)
            total += overlap / (norm_a * norm_b)
    return total * math.exp(-((mine.length - theirs.length) ** 2) / (2 * _SIGMA**2))


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """One score for each photo (papers quote the mean times 100).

    `references` are the captions that people wrote of each photo; document frequencies come from them all.
    """
    scorer = CiderScorer(references)
    return [scorer.score(candidate, texts) for candidate, texts in zip(candidates, references, strict=True)]


def consensus(captions: Sequence[Sequence[str]]) -> list[list[float]]:
    """How well each caption of a photo agrees with the photo's others: its CIDEr-D against them."""
    scorer = CiderScorer(captions)
    return [scorer.among(texts) if len(texts) > 1 else [1.0] * len(texts) for texts in captions]
