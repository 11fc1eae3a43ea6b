"""Figures of one model against another: features, distributions, and the tokens they choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.export.parity import log_softmax
from lorgnette.export.verification.subject import Case, FloatArray, Model

NEAR_TIE = 0.25
"""Natural logarithm of how much likelier one token may be than another for the choice between them to be a near-tie:
a quantization that swaps two of about the same probability has lost nothing."""


@dataclass(frozen=True, slots=True)
class FeatureFigures:
    """Of all pictures: the lowest cosine between feature matrices, and the greatest difference of two numbers."""

    cosine: float
    max_difference: float


@dataclass(frozen=True, slots=True)
class Flip:
    """At token `place` of an answer the reference chose `wanted` and the other `chosen`; to the reference the first is
    exp(`margin`) times as likely."""

    place: int
    wanted: int
    chosen: int
    margin: float


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    """One prompt. `expected` and `actual` are the greedy tokens of both; `flips` the places where the other would
    choose otherwise behind the same tokens; `mean_kl` in nats, over the tokens of `expected`."""

    case: Case
    expected: tuple[int, ...]
    actual: tuple[int, ...]
    flips: tuple[Flip, ...]
    mean_kl: float
    nll_difference: float

    @property
    def same(self) -> int:
        """Tokens that are chosen alike behind the same tokens."""
        return len(self.expected) - len(self.flips)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`name` against `reference`. `features` is None where no picture was looked at."""

    name: str
    reference: str
    features: FeatureFigures | None
    answers: tuple[AnswerFigures, ...]

    @property
    def agreement(self) -> float:
        """The share of tokens that are chosen alike."""
        return sum(one.same for one in self.answers) / sum(len(one.expected) for one in self.answers)

    @property
    def agreement_or_near_tie(self) -> float:
        ties = sum(flip.margin <= NEAR_TIE for one in self.answers for flip in one.flips)
        return self.agreement + ties / sum(len(one.expected) for one in self.answers)

    @property
    def mean_kl(self) -> float:
        return float(np.average([a.mean_kl for a in self.answers], weights=[len(a.expected) for a in self.answers]))


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What a reference does, kept so that others can be held against it when it is gone: for each of `cases` its greedy
    tokens and its log-probabilities before each of them, and the features of each picture by its pixels' identity."""

    name: str
    cases: tuple[Case, ...]
    tokens: tuple[tuple[int, ...], ...]
    log_probabilities: tuple[npt.NDArray[np.float32], ...]
    features: Mapping[int, FloatArray]


def record(name: str, reference: Model, cases: Sequence[Case], count: int) -> Recording:
    """Let `reference` answer `cases` with `count` tokens each."""
    tokens = [reference.greedy(case, count) for case in cases]
    told = [
        log_softmax(reference.logits(case, ids[:-1])).astype(np.float32)
        for case, ids in zip(cases, tokens, strict=True)
    ]
    features = {number: reference.features(pixels) for number, pixels in _pictures(cases).items()}
    return Recording(name, tuple(cases), tuple(map(tuple, tokens)), tuple(told), features)


def compare(name: str, model: Model, reference: Recording) -> Comparison:
    """Hold `model` against what was recorded."""
    rows = zip(reference.cases, reference.tokens, reference.log_probabilities, strict=True)
    answers = tuple(_answer(case, model, tokens, wanted) for case, tokens, wanted in rows)
    return Comparison(name, reference.name, _features(model, reference), answers)


def _pictures(cases: Sequence[Case]) -> dict[int, FloatArray]:
    return {id(case.pixels): case.pixels for case in cases if case.pixels is not None}


def _features(model: Model, reference: Recording) -> FeatureFigures | None:
    cosines, differences = [], []
    for number, pixels in _pictures(reference.cases).items():
        one, other = reference.features[number].astype(np.float64), model.features(pixels).astype(np.float64)
        cosines.append(float((one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other))))
        differences.append(float(np.abs(one - other).max()))
    return FeatureFigures(min(cosines), max(differences)) if cosines else None


def _answer(case: Case, model: Model, expected: tuple[int, ...], wanted: npt.NDArray[np.float32]) -> AnswerFigures:
    found = log_softmax(model.logits(case, list(expected[:-1]))).astype(np.float32)
    choices = found.argmax(axis=-1)
    flips = [
        Flip(place, token, int(choice), float(wanted[place, token] - wanted[place, choice]))
        for place, (token, choice) in enumerate(zip(expected, choices, strict=True))
        if token != choice
    ]
    places = np.arange(len(expected))
    return AnswerFigures(
        case=case,
        expected=expected,
        actual=tuple(model.greedy(case, len(expected))),
        flips=tuple(flips),
        mean_kl=float((np.exp(wanted) * (wanted - found)).sum(axis=-1, dtype=np.float64).mean()),
        nll_difference=float((wanted - found)[places, list(expected)].mean()),
    )
