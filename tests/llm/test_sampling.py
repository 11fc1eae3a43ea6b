"""Greedy and top-p sampling, and the guard against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lorgnette.device.errors import InputError
from lorgnette.llm.sampling import Sampler, SamplingSettings, is_looping, log_probability, log_softmax, nucleus


def test_greedy_takes_the_likeliest_with_its_probability() -> None:
    logits = np.log(np.array([0.1, 0.7, 0.2], np.float32)) + 3
    chosen, log_probability = Sampler(SamplingSettings()).choose(logits)
    assert chosen == 1
    assert log_probability == pytest.approx(math.log(0.7), abs=1e-5)


def test_the_probability_of_one_token_is_that_among_all() -> None:
    logits = np.random.default_rng(0).normal(0, 30, 1000).astype(np.float32)
    every = log_softmax(logits)
    assert np.exp(every).sum() == pytest.approx(1)
    for token_id in (0, 1, int(logits.argmax()), int(logits.argmin())):
        assert log_probability(logits, token_id) == pytest.approx(every[token_id])


def test_draws_follow_the_probabilities_inside_the_nucleus() -> None:
    """0.5, 0.3, 0.15, 0.05 with top_p 0.8: only the first two, as 5 to 3."""
    logits = np.log(np.array([0.05, 0.5, 0.15, 0.3], np.float32))
    sampler = Sampler(SamplingSettings(temperature=1.0, top_p=0.8, seed=0))
    draws = [sampler.choose(logits)[0] for _ in range(4000)]
    assert set(draws) == {1, 3}
    assert draws.count(1) / len(draws) == pytest.approx(0.625, abs=0.03)


def test_temperature_flattens() -> None:
    logits = np.log(np.array([0.8, 0.2], np.float32))
    share = {}
    for temperature in (0.5, 1.0, 2.0):
        sampler = Sampler(SamplingSettings(temperature=temperature, seed=0))
        share[temperature] = sum(sampler.choose(logits)[0] == 0 for _ in range(4000)) / 4000
        expected = 0.8 ** (1 / temperature) / (0.8 ** (1 / temperature) + 0.2 ** (1 / temperature))
        assert share[temperature] == pytest.approx(expected, abs=0.03)
    assert share[0.5] > share[1.0] > share[2.0]


def test_the_reported_probability_is_the_models_own() -> None:
    """Whatever the temperature: it says how sure the model was."""
    logits = np.log(np.array([0.25, 0.75], np.float32))
    sampler = Sampler(SamplingSettings(temperature=5.0, seed=3))
    for _ in range(20):
        chosen, log_probability = sampler.choose(logits)
        assert log_probability == pytest.approx(math.log([0.25, 0.75][chosen]), abs=1e-5)


@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.9, 0.999, 1.0])
def test_the_nucleus_is_the_smallest_that_is_enough(top_p: float) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        probabilities = random.dirichlet(np.full(500, 0.05))
        ids, kept = nucleus(probabilities, top_p)
        assert kept == pytest.approx(probabilities[ids])
        assert kept.sum() >= top_p - 1e-9
        if top_p < 1.0:
            assert kept.sum() - kept.min() < top_p, "one fewer would not do"
            assert kept.min() >= np.delete(probabilities, ids).max(initial=0.0), "only the likeliest"


@pytest.mark.parametrize(
    "settings", [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.1}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError):
        SamplingSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ids", "looping"),
    [
        ([], False),
        ([1, 2, 3, 4], False),
        ([1, 2] * 5, False),
        ([1, 2] * 6, True),
        ([9, 9, *[1, 2] * 6], True),
        ([*[1, 2] * 6, 3], False),
        ([7] * 11, False),
        ([7] * 12, True),
        (list(range(24)) * 4, True),
        (list(range(25)) * 4, False),
        (list(range(24)) * 3, False),
    ],
)
def test_loops_are_noticed(ids: list[int], looping: bool) -> None:
    assert is_looping(ids) is looping
