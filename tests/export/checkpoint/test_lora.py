"""Merging LoRA folders: the formula, peft's names and patterns, and adapters that may not be merged.

The literal example, embeddings, convolutions and patterns were compared with peft 0.21's own `merge_and_unload`.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_box import as_bfloat16, safetensors, write_folder, write_lora

from lorgnette.device.errors import InputError, LorgnetteError
from lorgnette.export.checkpoint.lora import with_lora
from lorgnette.export.checkpoint.tensors import LazyTensors, SafetensorsTensors, shape_of
from lorgnette.export.llama import FloatArray, WeightsFormatError

RNG = np.random.default_rng(1)
PREFIX = "base_model.model."


def normal(*shape: int) -> FloatArray:
    return RNG.normal(size=shape).astype(np.float32)


def pair(module: str, outputs: int = 3, inputs: int = 5, rank: int = 2, infix: str = "") -> dict[str, FloatArray]:
    return {
        f"{PREFIX}{module}.lora_A{infix}.weight": normal(rank, inputs),
        f"{PREFIX}{module}.lora_B{infix}.weight": normal(outputs, rank),
    }


def product(arrays: dict[str, FloatArray]) -> FloatArray:
    down, up = arrays.values()
    return up @ down


def test_a_literal_example(tmp_path: Path) -> None:
    base = {"model.q.weight": np.array([[1, 2, 3], [4, 5, 6]], np.float32), "model.norm.weight": np.ones(3, np.float32)}
    arrays = {
        "base_model.model.model.q.lora_A.weight": np.array([[1, 0, 2]], np.float32),
        "base_model.model.model.q.lora_B.weight": np.array([[10], [-1]], np.float32),
    }
    merged = with_lora(base, write_lora(tmp_path, arrays, r=1, lora_alpha=3))
    assert merged["model.q.weight"].tolist() == [[31, 2, 63], [1, 5, 0]]
    assert merged["model.norm.weight"].tolist() == [1, 1, 1]
    assert list(merged) == list(base) and len(merged) == 2 and "model.q.weight" in merged
    assert base["model.q.weight"][0, 0] == 1  # the base is as it was


@pytest.mark.parametrize("infix", ["", ".default"])
@pytest.mark.parametrize(("rslora", "scale"), [(False, 2.0), (True, 4 / math.sqrt(2))])
def test_the_scale_is_alpha_by_rank_or_its_root(tmp_path: Path, infix: str, rslora: bool, scale: float) -> None:
    base = {"model.text_model.layers.0.q.weight": normal(3, 5)}
    arrays = pair("model.text_model.layers.0.q", infix=infix)
    merged = with_lora(base, write_lora(tmp_path, arrays, use_rslora=rslora))
    expected = base["model.text_model.layers.0.q.weight"] + scale * product(arrays)
    np.testing.assert_allclose(merged["model.text_model.layers.0.q.weight"], expected, rtol=1e-5)


def test_patterns_give_a_layer_its_own_rank_and_alpha(tmp_path: Path) -> None:
    base = {f"model.layers.{i}.{name}.weight": normal(3, 5) for i in (1, 11) for name in ("q", "v")}
    ranks = {"model.layers.1.q": 2, "model.layers.1.v": 1, "model.layers.11.q": 3, "model.layers.11.v": 1}
    pairs = {module: pair(module, rank=rank) for module, rank in ranks.items()}
    arrays = {key: array for arrays in pairs.values() for key, array in arrays.items()}
    lora = write_lora(
        tmp_path, arrays, rank_pattern={"layers.11.q": 3, r".*\.v": 1}, alpha_pattern={"^model.layers.1.q": 8, "v": 5}
    )
    merged = with_lora(base, lora)
    scales = {"model.layers.1.q": 8 / 2, "model.layers.1.v": 5, "model.layers.11.q": 4 / 3, "model.layers.11.v": 5}
    for module, scale in scales.items():
        expected = base[f"{module}.weight"] + scale * product(pairs[module])
        np.testing.assert_allclose(merged[f"{module}.weight"], expected, rtol=1e-5, err_msg=module)


def test_weights_that_are_stored_transposed_get_a_transposed_update(tmp_path: Path) -> None:
    base = {"h.0.attn.weight": normal(5, 3)}
    arrays = pair("h.0.attn")
    merged = with_lora(base, write_lora(tmp_path, arrays, fan_in_fan_out=True))
    np.testing.assert_allclose(merged["h.0.attn.weight"], base["h.0.attn.weight"] + 2 * product(arrays).T, rtol=1e-5)


@pytest.mark.parametrize("infix", ["", ".default"])
def test_embeddings_are_updated_and_their_saved_base_is_used(tmp_path: Path, infix: str) -> None:
    base = {"model.embed_tokens.weight": normal(7, 4)}
    down, up, saved = normal(2, 7), normal(4, 2), normal(7, 4)
    module = f"{PREFIX}model.embed_tokens"
    arrays = {f"{module}.lora_embedding_A{infix}": down, f"{module}.lora_embedding_B{infix}": up}
    merged = with_lora(base, write_lora(tmp_path / "a", arrays))
    expected = base["model.embed_tokens.weight"] + 2 * (up @ down).T
    np.testing.assert_allclose(merged["model.embed_tokens.weight"], expected, rtol=1e-5)
    merged = with_lora(base, write_lora(tmp_path / "b", arrays | {f"{module}.base_layer.weight": saved}))
    np.testing.assert_allclose(merged["model.embed_tokens.weight"], saved + 2 * (up @ down).T, rtol=1e-5)


def test_a_convolution_is_updated_by_the_kernel_of_both(tmp_path: Path) -> None:
    base = {"patch.weight": normal(6, 3, 4, 4)}
    down, up = normal(2, 3, 4, 4), normal(6, 2, 1, 1)
    arrays = {f"{PREFIX}patch.lora_A.weight": down, f"{PREFIX}patch.lora_B.weight": up}
    merged = with_lora(base, write_lora(tmp_path, arrays))
    expected = base["patch.weight"] + 2 * np.einsum("or,rihw->oihw", up[:, :, 0, 0], down)
    np.testing.assert_allclose(merged["patch.weight"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("infix", ["", ".modules_to_save", ".modules_to_save.default"])
def test_saved_modules_replace_whole_ones(tmp_path: Path, infix: str) -> None:
    base = {"model.connector.proj.weight": normal(3, 5), "model.q.bias": normal(3)}
    weight, bias = normal(3, 5), normal(3)
    arrays = {f"{PREFIX}model.connector{infix}.proj.weight": weight, f"{PREFIX}model.q.bias": bias}
    merged = with_lora(base, write_lora(tmp_path, arrays))
    np.testing.assert_array_equal(merged["model.connector.proj.weight"], weight)
    np.testing.assert_array_equal(merged["model.q.bias"], bias)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("model.text_model.layers.0.q", "model.text_model.layers.0.q"),
        ("text_model.layers.0.q", "model.text_model.layers.0.q"),
        ("model.layers.0.q", "layers.0.q"),
        ("model.language_model.layers.0.q", "language_model.model.layers.0.q"),
        ("language_model.model.layers.0.q", "model.language_model.layers.0.q"),
        ("model.language_model.layers.0.q", "model.layers.0.q"),
        ("model.layers.0.q", "model.language_model.layers.0.q"),
        ("model.visual.blocks.0.q", "visual.blocks.0.q"),
        ("lm_head", "language_model.lm_head"),
        ("language_model.lm_head", "lm_head"),
    ],
)
def test_parts_are_found_by_the_names_they_have_had(tmp_path: Path, module: str, name: str) -> None:
    base = {f"{name}.weight": normal(3, 5)}
    arrays = pair(module)
    merged = with_lora(base, write_lora(tmp_path, arrays))
    np.testing.assert_allclose(merged[f"{name}.weight"], base[f"{name}.weight"] + 2 * product(arrays), rtol=1e-5)


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    weights = normal(3, 5)
    (tmp_path / "model.safetensors").write_bytes(safetensors({"q.weight": as_bfloat16(weights), "r": normal(2)}))
    arrays = {key: as_bfloat16(array) for key, array in pair("q").items()}
    merged = with_lora(SafetensorsTensors([tmp_path / "model.safetensors"]), write_lora(tmp_path / "lora", arrays))
    down, up = ((array.astype(np.uint32) << 16).view(np.float32) for array in arrays.values())
    expected = (as_bfloat16(weights).astype(np.uint32) << 16).view(np.float32) + 2 * (up @ down)
    np.testing.assert_allclose(merged["q.weight"], expected, rtol=1e-5)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "lora" / "adapter_model.safetensors").unlink()
    assert isinstance(merged, LazyTensors)
    assert shape_of(merged, "q.weight") == (3, 5) and "q.weight" in merged and "s" not in merged
    with pytest.raises(WeightsFormatError, match="cannot read"):
        merged["q.weight"]


def test_an_unknown_target_is_named_with_the_base_it_was_trained_on(tmp_path: Path) -> None:
    lora = write_lora(tmp_path, pair("model.layers.0.q") | pair("model.layers.1.q"))
    with pytest.raises(WeightsFormatError, match=r"changes model\.layers\.0\.q\.weight, which") as refusal:
        with_lora({"model.layers.1.q.weight": normal(3, 5)}, lora)
    assert "org/base" in refusal.value.hint
    lora = write_lora(tmp_path / "head", {f"{PREFIX}lm_head.weight": normal(3, 5)})
    with pytest.raises(WeightsFormatError, match="changes lm_head") as refusal:
        with_lora({"model.embed_tokens.weight": normal(3, 5)}, lora)
    assert "its head is its embedding" in refusal.value.hint


@pytest.mark.parametrize(
    ("arrays", "config", "message"),
    [
        (pair("q", inputs=4), {}, r"as if its shape were \(3, 4\); it is \(3, 5\)"),
        (pair("q", outputs=4), {}, r"as if its shape were \(4, 5\)"),
        (pair("q", rank=3), {}, "are not of rank 2"),
        (pair("q"), {"rank_pattern": {"q": 3}}, "are not of rank 3"),
        (dict(list(pair("q").items())[:1]), {}, "one half of the update of q"),
        ({f"{PREFIX}q.weight": normal(4, 5)}, {}, r"as if its shape were \(4, 5\)"),
        (pair("q") | pair("model.q"), {}, "changes q.weight under two names"),
        ({f"{PREFIX}q.weight": normal(3, 5), "q.base_layer.weight": normal(3, 5)}, {}, "replaces q.weight twice"),
        ({}, {}, "changes nothing"),
        (pair("q"), {"r": 0}, "rank is below 1"),
        (pair("q"), {"r": "many"}, "cannot be used"),
        (pair("q"), {"rank_pattern": {"(": 2}}, "cannot be used"),
        (pair("q"), {"alpha_pattern": [1]}, "cannot be used"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    tmp_path: Path, arrays: dict[str, FloatArray], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(WeightsFormatError, match=message) as refusal:
        with_lora({"q.weight": normal(3, 5)}, write_lora(tmp_path, arrays, **config))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "LOHA"}, "of the type LOHA"),
        ({"peft_type": "VERA"}, "of the type VERA"),
        ({"peft_type": None}, "of the type None"),
        ({"use_dora": True}, "uses DoRA"),
        ({"lora_bias": True}, "uses LoRA with biases"),
        ({"layer_replication": [[0, 1]]}, "uses replicated layers"),
        ({"init_lora_weights": "pissa_niter_16"}, "started from pissa_niter_16"),
        ({"init_lora_weights": "loftq"}, "started from loftq"),
    ],
)
def test_other_kinds_of_adapters_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        with_lora({"q.weight": normal(3, 5)}, write_lora(tmp_path, pair("q"), **config))
    assert "merge_and_unload" in refusal.value.hint


@pytest.mark.parametrize(
    "key", ["q.lora_magnitude_vector.weight", "q.lora_B.bias", "q.lora_A.other.weight", "q.lora_E"]
)
def test_a_tensor_that_would_be_dropped_is_refused(tmp_path: Path, key: str) -> None:
    lora = write_lora(tmp_path, pair("q") | {PREFIX + key: normal(3)})
    with pytest.raises(InputError, match=rf"not merged here: {re.escape(PREFIX + key)}"):
        with_lora({"q.weight": normal(3, 5)}, lora)


def test_a_folder_without_adapter_or_with_a_pickle_is_refused(tmp_path: Path) -> None:
    base = {"q.weight": normal(3, 5)}
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        with_lora(base, tmp_path / "nowhere")
    config = json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}).encode()
    folder = write_folder(tmp_path / "lora", {"adapter_config.json": config})
    with pytest.raises(InputError, match=r"has no adapter_model\.safetensors"):
        with_lora(base, folder)
    write_folder(folder, {"adapter_model.bin": b"\x80\x02"})
    with pytest.raises(InputError, match="only pickled weights"):
        with_lora(base, folder)
    write_folder(folder, {"adapter_model.safetensors": b"\x00"})
    with pytest.raises(LorgnetteError, match="cut short"):
        with_lora(base, folder)
    write_folder(folder, {"adapter_config.json": {"peft_type": "LORA"}})
    with pytest.raises(WeightsFormatError, match="lacks r"):
        with_lora(base, folder)
