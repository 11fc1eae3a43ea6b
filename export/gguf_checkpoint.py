"""Read a Llama-architecture GGUF file: dimensions, weights as float32 in the Hugging Face order, tokenizer.

The format is described in ggml's docs/gguf.md; the `gguf` package parses it and dequantises the blocks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from lorgnette.export.llama import FloatArray, LlamaConfig, LlamaWeights, WeightsFormatError, check_tensors

_CONTROL_TOKEN = 3  # gguf's TokenType.CONTROL
_TOP_LEVEL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
_IN_BLOCK = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True, slots=True)
class GgufCheckpoint:
    """What a GGUF file holds. `stop_id` is the token that ends an assistant's turn."""

    name: str
    weights: LlamaWeights
    tokenizer: Tokenizer
    stop_id: int


def read_gguf(path: Path) -> GgufCheckpoint:
    """Read the whole file, 4 bytes a weight in memory.

    Raises `WeightsFormatError` if the file is no GGUF, of another architecture, or has a head of its own.
    """
    try:
        reader = GGUFReader(path)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise WeightsFormatError(f"{path} is no GGUF file: {error}", "fetch the file again") from error
    try:
        return _read(reader, path)
    except KeyError as error:
        raise WeightsFormatError(f"{path} lacks the field {error.args[0]}", "fetch the file again") from error


def _read(reader: GGUFReader, path: Path) -> GgufCheckpoint:
    architecture = _field(reader, "general.architecture")
    if architecture != "llama":
        raise WeightsFormatError(f"{path} holds a {architecture} model", "only the llama architecture is supported")
    config = _config(reader)
    tensors: dict[str, FloatArray] = {}
    for tensor in reader.tensors:
        name = _hugging_face_name(tensor.name)
        if name is None:
            raise WeightsFormatError(f"{path} has a tensor that is not supported: {tensor.name}")
        array = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if name.endswith("q_proj.weight"):
            array = _half_split_rows(array, config.heads)
        elif name.endswith("k_proj.weight"):
            array = _half_split_rows(array, config.kv_heads)
        tensors[name] = array
    check_tensors(config, tensors, str(path))
    return GgufCheckpoint(
        name=str(_field(reader, "general.name")),
        weights=LlamaWeights(config, tensors),
        tokenizer=_tokenizer(reader, path),
        stop_id=int(_field(reader, "tokenizer.ggml.eos_token_id")),
    )


def _field(reader: GGUFReader, key: str) -> Any:
    field = reader.fields.get(key)
    if field is None:
        raise KeyError(key)
    return field.contents()


def _config(reader: GGUFReader) -> LlamaConfig:
    hidden = int(_field(reader, "llama.embedding_length"))
    heads = int(_field(reader, "llama.attention.head_count"))
    return LlamaConfig(
        layers=int(_field(reader, "llama.block_count")),
        hidden=hidden,
        heads=heads,
        kv_heads=int(_field(reader, "llama.attention.head_count_kv")),
        head_dim=int(_field(reader, "llama.rope.dimension_count")),
        intermediate=int(_field(reader, "llama.feed_forward_length")),
        vocabulary=int(_field(reader, "llama.vocab_size")),
        context=int(_field(reader, "llama.context_length")),
        rope_theta=float(_field(reader, "llama.rope.freq_base")),
        norm_epsilon=float(_field(reader, "llama.attention.layer_norm_rms_epsilon")),
    )


def _hugging_face_name(name: str) -> str | None:
    stem = name.removesuffix(".weight")
    if stem in _TOP_LEVEL:
        return f"{_TOP_LEVEL[stem]}.weight"
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
    if match is None or match[2] not in _IN_BLOCK:
        return None
    return f"model.layers.{match[1]}.{_IN_BLOCK[match[2]]}.weight"


def _half_split_rows(array: FloatArray, heads: int) -> FloatArray:
    """Undo llama.cpp's row order: there a rotary pair is two neighbouring rows, here it is (i, i + head_dim / 2)."""
    rows, columns = array.shape
    return array.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def byte_level_tokenizer(tokens: Sequence[str], merges: Sequence[str], special: Sequence[str]) -> Tokenizer:
    """Byte-level BPE with digits one by one, as llama.cpp does for the `smollm` pre-tokenizer; adds no tokens itself.

    `merges` are pairs with a space between; ids are places in `tokens`; `special` are those found whole in a text.
    """
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _tokenizer(reader: GGUFReader, path: Path) -> Tokenizer:
    kind = (_field(reader, "tokenizer.ggml.model"), _field(reader, "tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise WeightsFormatError(f"{path} has a tokenizer of the kind {kind}", "only gpt2/smollm is supported")
    tokens: list[str] = _field(reader, "tokenizer.ggml.tokens")
    types: list[int] = _field(reader, "tokenizer.ggml.token_type")
    special = [token for token, kind_ in zip(tokens, types, strict=True) if kind_ == _CONTROL_TOKEN]
    return byte_level_tokenizer(tokens, _field(reader, "tokenizer.ggml.merges"), special)
