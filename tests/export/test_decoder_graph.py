"""The decoder: reuse of its cache, batches, and agreement with PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorgnette.export.assembly import Assembly
from lorgnette.export.decoder_graph import rotary_tables

IDS = [1, 40, 90, 200, 33, 7, 150, 99, 260, 18, 77, 121]


def test_prefill_in_parts_equals_whole(tiny_decoder: Any) -> None:
    rows = tiny_decoder.embeds(IDS)
    whole, whole_cache = tiny_decoder.step(rows, tiny_decoder.empty())
    _, cache = tiny_decoder.step(rows[:, :7], tiny_decoder.empty())
    parts, parts_cache = tiny_decoder.step(rows[:, 7:], cache)
    np.testing.assert_allclose(parts, whole, atol=1e-4)
    for name, array in whole_cache.items():
        np.testing.assert_allclose(parts_cache[name], array, atol=1e-4)


def test_rewound_cache_equals_fresh(tiny_decoder: Any) -> None:
    """A second question on the same prefix: the first one's positions are cut off the cache."""
    rows = tiny_decoder.embeds(IDS)
    whole, cache = tiny_decoder.step(rows, tiny_decoder.empty())
    rewound = {name: array[:, :, :5] for name, array in cache.items()}
    again, _ = tiny_decoder.step(rows[:, 5:], rewound)
    np.testing.assert_array_equal(again, whole)


def test_token_by_token_equals_prefill(tiny_folder: Path, open_decoder: Any) -> None:
    decoder = open_decoder(tiny_folder, "")
    rows = decoder.embeds(IDS)
    whole, _ = decoder.step(rows, decoder.empty())
    cache = decoder.empty()
    for index in range(len(IDS)):
        logits, cache = decoder.step(rows[:, index : index + 1], cache)
    np.testing.assert_allclose(logits, whole, atol=1e-4)


def test_logits_are_of_the_last_position_only(tiny_decoder: Any) -> None:
    logits, _ = tiny_decoder.step(tiny_decoder.embeds(IDS), tiny_decoder.empty())
    assert logits.shape == (1, 1, 265)


def test_batch_rows_do_not_touch_each_other(tiny_decoder: Any) -> None:
    first, second = tiny_decoder.embeds(IDS), tiny_decoder.embeds(IDS[::-1])
    alone = [tiny_decoder.step(rows, tiny_decoder.empty()) for rows in (first, second)]
    both, cache = tiny_decoder.step(np.concatenate([first, second]), tiny_decoder.empty(2))
    for row in range(2):
        np.testing.assert_allclose(both[row], alone[row][0][0], atol=1e-4)
    nexts = np.concatenate([tiny_decoder.embeds([50]), tiny_decoder.embeds([60])])
    both, _ = tiny_decoder.step(nexts, cache)
    for row in range(2):
        single, _ = tiny_decoder.step(nexts[row : row + 1], alone[row][1])
        np.testing.assert_allclose(both[row], single[0], atol=1e-4)


def test_positions_are_read(tiny_folder: Path, open_decoder: Any) -> None:
    """Keys carry the position that was asked for: the cache differs, the answer (relative positions) does not."""
    decoder = open_decoder(tiny_folder, "")
    feeds = {
        "inputs_embeds": decoder.embeds(IDS),
        "attention_mask": np.ones((1, len(IDS)), np.int64),
    } | decoder.empty()
    names = ["logits", "present.0.key"]
    at_zero, keys_at_zero = decoder.decode.run(names, feeds | {"position_ids": np.arange(len(IDS))[None]})
    at_nine, keys_at_nine = decoder.decode.run(names, feeds | {"position_ids": np.arange(9, 9 + len(IDS))[None]})
    assert np.abs(keys_at_zero - keys_at_nine).max() > 0.1
    np.testing.assert_allclose(at_nine, at_zero, atol=1e-3)


def test_layout_names(tiny_decoder: Any) -> None:
    inputs = {value.name: value.type for value in tiny_decoder.decode.get_inputs()}
    past = {f"past_key_values.{layer}.{kind}" for layer in range(2) for kind in ("key", "value")}
    assert set(inputs) == {"inputs_embeds", "attention_mask", "position_ids"} | past
    assert inputs["attention_mask"] == inputs["position_ids"] == "tensor(int64)"
    outputs = {value.name for value in tiny_decoder.decode.get_outputs()}
    assert outputs == {"logits"} | {name.replace("past_key_values", "present") for name in past}


def test_rotary_tables_turn_the_first_pair_by_one_radian(tiny: Assembly) -> None:
    cos, sin = rotary_tables(tiny.language.config)
    assert cos.shape == sin.shape == (256, 8)
    np.testing.assert_allclose(cos[:, 0], np.cos(np.arange(256)), atol=1e-6)
    np.testing.assert_allclose(sin[1], np.sin(10_000.0 ** (-np.arange(8) / 8)), atol=1e-6)


@pytest.mark.torch
def test_tiny_model_equals_pytorch(tiny: Assembly, tiny_folder: Path, open_decoder: Any, torch_llama: Any) -> None:
    import torch

    reference = torch_llama(tiny.language)
    decoder = open_decoder(tiny_folder, "")
    for length in (1, 3, len(IDS)):
        with torch.no_grad():
            expected = reference(torch.tensor([IDS[:length]])).logits[0, -1].numpy()
        logits, _ = decoder.step(decoder.embeds(IDS[:length]), decoder.empty())
        assert np.abs(logits[0, -1] - expected).max() <= 1e-3
    with torch.no_grad():
        generated = reference.generate(torch.tensor([IDS]), max_new_tokens=30, min_new_tokens=30, do_sample=False)
    assert decoder.greedy(IDS, 30) == generated[0, len(IDS) :].tolist()
