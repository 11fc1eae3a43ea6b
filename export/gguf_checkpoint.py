"""Read a GGUF file of a Llama or Qwen2: dimensions, weights as float32 in the Hugging Face order, tokenizer.

The format is described in ggml's docs/gguf.md; the `gguf` package parses it and dequantises the blocks. Names and
row order are those of llama.cpp's converter (convert_hf_to_gguf.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import Tokenizer

from lorgnette.export.byte_level_tokenizer import QWEN2, SMOLLM, byte_level_tokenizer
from lorgnette.export.checkpoint.tensors import LazyTensors
from lorgnette.export.llama import FloatArray, LlamaConfig, LlamaWeights, WeightsFormatError, check_tensors

ARCHITECTURES = ("llama", "qwen2")
_CONTROL_TOKEN, _USER_TOKEN = 3, 4  # gguf's TokenType: never part of a person's text; found whole in one
_SPLITS = {"smollm": SMOLLM, "qwen2": QWEN2}
_TOP_LEVEL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
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
_HEAD = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class GgufCheckpoint:
    """What a GGUF file holds. `stop_id` is the token that ends an assistant's turn."""

    name: str
    weights: LlamaWeights
    tokenizer: Tokenizer
    stop_id: int


class GgufTensors(LazyTensors):
    """The tensors of a file under Hugging Face's names, dequantised on every look-up.

    Raises `WeightsFormatError` for a tensor that no such model has.
    """

    def __init__(self, reader: GGUFReader, config: LlamaConfig, path: Path) -> None:
        self._tensors: dict[str, Any] = {}
        # llama.cpp's converter puts the rows of a Llama's queries and keys in another order; it leaves Qwen2's alone.
        permuted = field(reader, "general.architecture") == "llama"
        self._heads = {"q_proj": config.heads, "k_proj": config.kv_heads} if permuted else {}
        for tensor in reader.tensors:
            name = _hugging_face_name(tensor.name)
            if name is None or (permuted and name.endswith(".bias")):
                raise WeightsFormatError(f"{path} has a tensor that is not supported: {tensor.name}")
            self._tensors[name] = tensor

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(side) for side in reversed(self._tensors[name].shape))

    def __getitem__(self, name: str) -> FloatArray:
        tensor = self._tensors[name]
        array = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        heads = self._heads.get(name.split(".")[-2])
        return array if heads is None else _half_split_rows(array, heads)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def read_gguf(path: Path) -> GgufCheckpoint:
    """Read the whole file, 4 bytes a weight in memory.

    Raises `WeightsFormatError` if the file is no GGUF, of another architecture, or has a head of its own.
    """
    reader = open_reader(path)
    try:
        config = read_config(reader, path)
        tensors = dict(GgufTensors(reader, config, path))
        if _HEAD in tensors:
            raise WeightsFormatError(f"{path} has a tensor that is not supported: output.weight")
        check_tensors(config, tensors, str(path))
        return GgufCheckpoint(
            name=str(field(reader, "general.name")),
            weights=LlamaWeights(config, tensors),
            tokenizer=read_tokenizer(reader, path),
            stop_id=int(field(reader, "tokenizer.ggml.eos_token_id")),
        )
    except KeyError as error:
        raise WeightsFormatError(f"{path} lacks the field {error.args[0]}", "fetch the file again") from error


def open_reader(path: Path) -> GGUFReader:
    """The file's fields and tensors, mapped into memory. Raises `WeightsFormatError` if it is no GGUF."""
    try:
        return GGUFReader(path)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise WeightsFormatError(f"{path} is no GGUF file: {error}", "fetch the file again") from error


def field(reader: GGUFReader, key: str, default: Any = None) -> Any:
    """What a field holds. Raises KeyError if it is not there and there is no `default`."""
    found = reader.fields.get(key)
    if found is not None:
        return found.contents()
    if default is None:
        raise KeyError(key)
    return default


def read_config(reader: GGUFReader, path: Path) -> LlamaConfig:
    """The dimensions. Raises KeyError for a missing field, `WeightsFormatError` for a model that is not supported."""
    architecture = field(reader, "general.architecture")
    if architecture not in ARCHITECTURES:
        raise WeightsFormatError(f"{path} holds a {architecture} model", f"supported: {', '.join(ARCHITECTURES)}")

    def of(key: str, default: Any = None) -> Any:
        return field(reader, f"{architecture}.{key}", default)

    scaling = of("rope.scaling.type", "none")
    if scaling != "none":
        raise WeightsFormatError(f"{path} has rotary scaling of the kind {scaling!r}", "it is not supported")
    hidden, heads = int(of("embedding_length")), int(of("attention.head_count"))
    return LlamaConfig(
        layers=int(of("block_count")),
        hidden=hidden,
        heads=heads,
        kv_heads=int(of("attention.head_count_kv", heads)),
        head_dim=int(of("rope.dimension_count", of("attention.key_length", hidden // heads))),
        intermediate=int(of("feed_forward_length")),
        vocabulary=int(of("vocab_size", len(field(reader, "tokenizer.ggml.tokens")))),
        context=int(of("context_length")),
        rope_theta=float(of("rope.freq_base", 10_000.0)),
        norm_epsilon=float(of("attention.layer_norm_rms_epsilon")),
    )


def _hugging_face_name(name: str) -> str | None:
    stem, _, kind = name.rpartition(".")
    if stem in _TOP_LEVEL and kind == "weight":
        return f"{_TOP_LEVEL[stem]}.weight"
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
    if match is None or match[2] not in _IN_BLOCK or kind not in ("weight", "bias"):
        return None
    return f"model.layers.{match[1]}.{_IN_BLOCK[match[2]]}.{kind}"


def _half_split_rows(array: FloatArray, heads: int) -> FloatArray:
    """Undo llama.cpp's row order: there a rotary pair is two neighbouring rows, here it is (i, i + head_dim / 2)."""
    rows, columns = array.shape
    return array.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def read_tokenizer(reader: GGUFReader, path: Path) -> Tokenizer:
    """Raises KeyError for a missing field, `WeightsFormatError` for a tokenizer of another kind."""
    kind = (field(reader, "tokenizer.ggml.model"), field(reader, "tokenizer.ggml.pre"))
    if kind[0] != "gpt2" or kind[1] not in _SPLITS:
        known = ", ".join(f"gpt2/{name}" for name in _SPLITS)
        raise WeightsFormatError(f"{path} has a tokenizer of the kind {'/'.join(kind)}", f"supported: {known}")
    tokens: list[str] = field(reader, "tokenizer.ggml.tokens")
    types: list[int] = field(reader, "tokenizer.ggml.token_type")

    def of_type(wanted: int) -> Sequence[str]:
        return [token for token, one in zip(tokens, types, strict=True) if one == wanted]

    merges = field(reader, "tokenizer.ggml.merges")
    special, added = of_type(_CONTROL_TOKEN), of_type(_USER_TOKEN)
    return byte_level_tokenizer(tokens, merges, special, added=added, split=_SPLITS[kind[1]])
