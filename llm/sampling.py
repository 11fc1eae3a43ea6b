"""Choosing the next token from the decoder's logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import InputError

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """`temperature` 0 always takes the likeliest token. Otherwise logits are divided by it, and a token is drawn from
    the smallest set of likeliest tokens whose probabilities sum to at least `top_p`. `seed` repeats draws."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 10.0:
            raise InputError(f"temperature {self.temperature} is out of range", "take 0 (always the likeliest) to 10")
        if not 0.0 < self.top_p <= 1.0:
            raise InputError(f"top_p {self.top_p} is out of range", "take more than 0, at most 1")


class Sampler:
    """Draws the tokens of one answer; two samplers with the same seed and logits choose alike."""

    def __init__(self, settings: SamplingSettings) -> None:
        self._settings = settings
        self._random = np.random.default_rng(settings.seed)

    def choose(self, logits: Logits, allowed: npt.NDArray[np.bool_] | None = None) -> tuple[int, float]:
        """A token id for `logits` [vocabulary] and the logarithm of its probability at temperature 1.

        `allowed` [vocabulary] limits the choice; the probability is among all tokens nevertheless.
        """
        open_to = logits if allowed is None else np.where(allowed, logits, np.float32(-np.inf))
        chosen = int(open_to.argmax()) if self._settings.temperature == 0.0 else self._draw(open_to)
        return chosen, log_probability(logits, chosen)

    def _draw(self, logits: Logits) -> int:
        scaled = (logits.astype(np.float64) - float(logits.max())) / self._settings.temperature
        weights = np.exp(scaled)
        probabilities = weights / weights.sum()
        candidates, kept = nucleus(probabilities, self._settings.top_p)
        return int(self._random.choice(candidates, p=kept / kept.sum()))


def log_probability(logits: Logits, token_id: int) -> float:
    """`log_softmax(logits)[token_id]` without computing the others: every token of an answer is asked for its own."""
    shifted = logits - logits.max()
    return float(shifted[token_id]) - math.log(np.exp(shifted).sum(dtype=np.float64))


def log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    """Natural logarithms of the probabilities at temperature 1, [vocabulary]."""
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum(dtype=np.float64)), np.float64)


def nucleus(
    probabilities: npt.NDArray[np.float64], top_p: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Ids of the smallest set of likeliest tokens with at least `top_p` of the probability, and their probabilities.

    Holtzman et al., The Curious Case of Neural Text Degeneration, 2020.
    """
    if top_p >= 1.0:
        return np.arange(len(probabilities)), probabilities
    # Tokens below this bound sum to less than 1 - top_p even if they are all the others together, so none of them is
    # needed; sorting the few that remain is 20 times faster than sorting a vocabulary.
    bound = (1.0 - top_p) / len(probabilities)
    candidates = np.flatnonzero(probabilities >= bound)
    order = candidates[np.argsort(-probabilities[candidates], kind="stable")]
    cumulative = probabilities[order].cumsum()
    count = int(np.searchsorted(cumulative, top_p)) + 1
    return order[:count], probabilities[order[:count]]


def is_looping(ids: Sequence[int], *, longest: int = 24, repeats: int = 4, shortest_loop: int = 12) -> bool:
    """Whether `ids` ends with the same `longest` or fewer tokens `repeats` times in a row, at least `shortest_loop`.

    Small models fall into such loops and do not leave them; an answer is ended there. "Ha ha ha ha" is no loop yet.
    """
    for period in range(1, longest + 1):
        times = max(repeats, -(-shortest_loop // period))
        tail = list(ids[-period * times :])
        if len(tail) == period * times and tail == tail[:period] * times:
            return True
    return False
