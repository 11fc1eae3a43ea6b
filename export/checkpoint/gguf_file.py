"""A GGUF file as a checkpoint: its fields say what config.json, the tokenizer's files and the rest would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gguf import GGUFReader

from lorgnette.export.checkpoint.folder import CONFIG, Checkpoint
from lorgnette.export.checkpoint.origin import FileHashes, Origin
from lorgnette.export.gguf_checkpoint import GgufTensors, field, open_reader, read_config, read_tokenizer
from lorgnette.export.llama import LlamaConfig, WeightsFormatError

SUFFIX = ".gguf"
_HEAD = "lm_head.weight"
_CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}


def open_gguf(path: Path) -> Checkpoint:
    """Open the model in `path`; its tensors are read when asked for.

    Raises `WeightsFormatError` if the file is no GGUF, or of an architecture or with a tokenizer that is not supported.
    """
    reader = open_reader(path)
    try:
        dimensions = read_config(reader, path)
        tensors = GgufTensors(reader, dimensions, path)
        config = _config(reader, dimensions, tied=_HEAD not in tensors)
        described = {
            CONFIG: json.dumps(config),
            "generation_config.json": json.dumps({"eos_token_id": _stop_ids(reader)}),
            "tokenizer.json": read_tokenizer(reader, path).to_str(),
            "tokenizer_config.json": json.dumps(_tokenizer_config(reader, dimensions)),
        }
    except KeyError as error:
        raise WeightsFormatError(f"{path} lacks the field {error.args[0]}", "fetch the file again") from error
    licence = str(field(reader, "general.license", ""))
    origin = Origin(str(path), "", licence, FileHashes([path]))
    return Checkpoint(path.parent, config, tensors, origin, described)


def _config(reader: GGUFReader, dimensions: LlamaConfig, *, tied: bool) -> dict[str, Any]:
    """What transformers calls these dimensions."""
    architecture = str(field(reader, "general.architecture"))
    ids = {f"{name}_token_id": _token_id(reader, name) for name in ("bos", "eos")}
    return {
        "model_type": architecture,
        "architectures": [_CLASSES[architecture]],
        "vocab_size": dimensions.vocabulary,
        "hidden_size": dimensions.hidden,
        "intermediate_size": dimensions.intermediate,
        "num_hidden_layers": dimensions.layers,
        "num_attention_heads": dimensions.heads,
        "num_key_value_heads": dimensions.kv_heads,
        "head_dim": dimensions.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": dimensions.context,
        "rms_norm_eps": _short(dimensions.norm_epsilon),
        "rope_theta": dimensions.rope_theta,
        "tie_word_embeddings": tied,
        **{name: one for name, one in ids.items() if one is not None},
    }


def _short(value: float) -> float:
    """The shortest number with the same float32, which is what a file holds: 1e-5 rather than 9.999999747378752e-06."""
    return float(f"{value:.7g}")


def _stop_ids(reader: GGUFReader) -> list[int]:
    """The token that ends a text and, where it is another, the one that ends a turn."""
    ids = [int(field(reader, "tokenizer.ggml.eos_token_id")), _token_id(reader, "eot")]
    return list(dict.fromkeys(one for one in ids if one is not None))


def _token_id(reader: GGUFReader, name: str) -> int | None:
    found = field(reader, f"tokenizer.ggml.{name}_token_id", -1)
    return None if found < 0 else int(found)


def _tokenizer_config(reader: GGUFReader, dimensions: LlamaConfig) -> dict[str, Any]:
    tokens = field(reader, "tokenizer.ggml.tokens")
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": bool(field(reader, "tokenizer.ggml.add_bos_token", False)),
        "clean_up_tokenization_spaces": False,
        "model_max_length": dimensions.context,
    }
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        one = _token_id(reader, theirs)
        if one is not None:
            config[f"{ours}_token"] = tokens[one]
    template = field(reader, "tokenizer.chat_template", "")
    return config | ({"chat_template": template} if template else {})
