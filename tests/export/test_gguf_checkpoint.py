"""Reading GGUF: names, row order and tokenizer come back as they went in; other files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.export.assembly import Assembly
from lorgnette.export.gguf_checkpoint import read_gguf
from lorgnette.export.llama import FloatArray, WeightsFormatError

_GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(
    path: Path, model: Assembly, make_models: Any, *, architecture: str = "llama", leave_out: str = ""
) -> None:
    """Write the tiny model as llama.cpp's converter would: rows of q and k in rotary pairs, fp32."""
    config = model.language.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.intermediate)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_vocab_size(config.vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    vocabulary = model.tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    special = set(make_models.SPECIAL)
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges(list(make_models.MERGES))
    writer.add_eos_token_id(2)
    for name, array in model.language.tensors.items():
        theirs = _their_name(name)
        if theirs == leave_out:
            continue
        heads = {"q_proj": config.heads, "k_proj": config.kv_heads}.get(name.split(".")[-2])
        writer.add_tensor(theirs, array if heads is None else _in_rotary_pairs(array, heads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _their_name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, *inner, _ = name.split(".")
    return f"blk.{layer}.{_GGUF_NAMES['.'.join(inner)]}.weight"


def _in_rotary_pairs(array: FloatArray, heads: int) -> FloatArray:
    """Row i and row i + half of a head become neighbours."""
    result = np.empty_like(array)
    width = len(array) // heads
    for head in range(heads):
        for i in range(width // 2):
            result[head * width + 2 * i] = array[head * width + i]
            result[head * width + 2 * i + 1] = array[head * width + width // 2 + i]
    return result


def test_round_trip(tiny: Assembly, make_models: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_gguf(path, tiny, make_models)
    checkpoint = read_gguf(path)
    assert checkpoint.name == "tiny"
    assert checkpoint.stop_id == 2
    assert checkpoint.weights.config.rope_theta == pytest.approx(10_000.0)
    assert checkpoint.weights.tensors.keys() == tiny.language.tensors.keys()
    for name, array in tiny.language.tensors.items():
        np.testing.assert_array_equal(checkpoint.weights.tensors[name], array)
    text = "<|im_start|>the inn, 1234 <|im_end|>é"
    ids = checkpoint.tokenizer.encode(text, add_special_tokens=False).ids
    assert ids == tiny.tokenizer.encode(text, add_special_tokens=False).ids
    assert checkpoint.tokenizer.decode(ids, skip_special_tokens=False) == text


def test_other_architectures_are_refused(tiny: Assembly, make_models: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    write_gguf(path, tiny, make_models, architecture="mamba")
    with pytest.raises(WeightsFormatError, match="mamba"):
        read_gguf(path)


def test_a_missing_tensor_is_named(tiny: Assembly, make_models: Any, tmp_path: Path) -> None:
    path = tmp_path / "partial.gguf"
    write_gguf(path, tiny, make_models, leave_out="blk.1.ffn_up.weight")
    with pytest.raises(WeightsFormatError, match=r"layers\.1\.mlp\.up_proj"):
        read_gguf(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 1000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.gguf"
    path.write_bytes(content)
    with pytest.raises(WeightsFormatError, match="no GGUF"):
        read_gguf(path)


def test_a_cut_file_is_refused(tiny: Assembly, make_models: Any, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    write_gguf(path, tiny, make_models)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsFormatError, match="no GGUF"):
        read_gguf(path)


@pytest.mark.weights
def test_tokenizer_equals_llama_cpp() -> None:
    """The file holds what llama.cpp 0.3.36 (Python) gives for these texts: special tokens parsed, none added."""
    expected = json.loads((Path(__file__).parent / "llama_cpp_ids.json").read_text("utf-8"))
    tokenizer = read_gguf(WeightStore.from_config(load_config()).path("smollm2-135m-instruct")).tokenizer
    assert len(expected) >= 20
    for text, ids in expected.items():
        assert tokenizer.encode(text, add_special_tokens=False).ids == ids, text
