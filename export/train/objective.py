"""What is made small: the cross-entropy of right answers, and of choosing them among wrong ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lorgnette.export.train.packing import PackedPhoto


@dataclass(frozen=True, slots=True)
class Losses:
    """`told` is the weighted mean cross-entropy of the tokens of right answers; `chosen` the mean cross-entropy of the
    right answer among its wrong ones, by their log-probabilities; `right` is how often it is the likeliest. `chosen`
    and `right` are None where nothing was to choose."""

    told: Tensor
    chosen: Tensor | None = None
    right: Tensor | None = None

    def figures(self) -> dict[str, Tensor]:
        """What there is, by the names of the log."""
        named = {"loss": self.told, "choice_loss": self.chosen, "choice_right": self.right}
        return {name: value.detach() for name, value in named.items() if value is not None}


class SampledHead:
    """The tied head over the tokens that answers often hold, those of the batch, and a sample of the others.

    Logits of the sample are raised by the logarithm of what they stand for (Y. Bengio and J.-S. Senecal, "Quick
    training of probabilistic neural nets by importance sampling", 2003), so the sum estimates that over the vocabulary.
    """

    def __init__(self, embedding: Tensor, frequent: npt.NDArray[np.int64], negatives: int) -> None:
        self._embedding = embedding
        self._frequent = frequent
        self._negatives = negatives

    def log_probabilities(self, states: Tensor, targets: npt.NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """log p(targets [n]) from final hidden `states` [n, hidden]."""
        vocabulary = len(self._embedding)
        known = np.union1d(self._frequent, targets)
        others = np.setdiff1d(np.arange(vocabulary), known, assume_unique=True)
        sampled = rng.choice(others, min(self._negatives, len(others)), replace=False)
        ids = np.concatenate([known, sampled])
        column = np.zeros(vocabulary, np.int64)
        column[ids] = np.arange(len(ids))
        device = states.device
        correction = torch.zeros(len(ids), device=device)
        if len(sampled):
            correction[len(known) :] = math.log(len(others) / len(sampled))
        logits = states @ self._embedding[torch.from_numpy(ids).to(device)].t() + correction
        return -nn.functional.cross_entropy(logits, torch.from_numpy(column[targets]).to(device), reduction="none")


def states_and_targets(hidden: Tensor, packed: Sequence[PackedPhoto]) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """The hidden states [n, width] that predict the answers' tokens, and those tokens."""
    length = hidden.shape[1]
    at = np.concatenate([one.at + i * length for i, one in enumerate(packed)])
    return hidden.flatten(0, 1)[torch.from_numpy(at).to(hidden.device)], np.concatenate([p.targets for p in packed])


def losses(log_probabilities: Tensor, packed: Sequence[PackedPhoto]) -> Losses:
    """The losses of a batch from the log-probabilities [n] of its targets in order."""
    device = log_probabilities.device
    weights = torch.from_numpy(np.concatenate([p.weights for p in packed])).to(device)
    told = -(log_probabilities * weights).sum() / max(1, int((weights != 0).sum()))
    counts = [int(p.answer[-1]) + 1 if len(p.answer) else 0 for p in packed]
    starts = np.cumsum([0, *counts[:-1]])
    answer = torch.from_numpy(np.concatenate([p.answer + s for p, s in zip(packed, starts, strict=True)])).to(device)
    sums = torch.zeros(sum(counts), device=device).index_add(0, answer, log_probabilities)
    groups = [[s + i for i in choice] for p, s in zip(packed, starts, strict=True) for choice in p.choices]
    if not groups:
        return Losses(told)
    widest = max(map(len, groups))
    index = torch.tensor([[*group, *[group[-1]] * (widest - len(group))] for group in groups], device=device)
    real = torch.tensor([[i < len(group) for i in range(widest)] for group in groups], device=device)
    scores = sums[index].masked_fill(~real, float("-inf"))
    chosen = nn.functional.cross_entropy(scores, torch.zeros(len(groups), dtype=torch.long, device=device))
    return Losses(told, chosen, (scores.argmax(1) == 0).float().mean())
