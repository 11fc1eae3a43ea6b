"""What the architectures share: dimensions out of config.json, tensors under our names, facts out of processor
files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from lorgnette.device.errors import InputError
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.checkpoint.json_file import read_json
from lorgnette.export.checkpoint.tensors import NamedTensors, shape_of
from lorgnette.export.llama import FloatArray, LlamaConfig, LlamaWeights, RopeScaling, WeightsFormatError, tensor_shapes
from lorgnette.export.siglip_graph import SiglipConfig
from lorgnette.export.siglip_graph import tensor_shapes as tower_shapes

Json = Mapping[str, Any]

_ACTIVATIONS = ("gelu_pytorch_tanh", "gelu_new")


def section(config: Json, name: str) -> Json:
    """An object inside a config. Raises WeightsFormatError if it is not there."""
    value = config.get(name)
    if not isinstance(value, dict):
        raise WeightsFormatError(f"config.json has no {name}", "fetch or save the whole checkpoint again")
    return value


def number(config: Json, name: str, default: int | None = None) -> int:
    """A whole number in a config. Raises WeightsFormatError if it is missing without a default, or no such number."""
    value = config.get(name, default)
    if type(value) is not int or value < 1:
        raise WeightsFormatError(f"config.json: {name} must be a whole number above 0, not {value!r}")
    return value


def language_config(config: Json) -> LlamaConfig:
    """The dimensions of a Llama, SmolLM2 or Qwen2 from its part of config.json, as transformers 4 or 5 writes it."""
    if config.get("hidden_act", "silu") != "silu":
        raise WeightsFormatError(f"the activation {config['hidden_act']!r} is not supported", "silu is")
    if config.get("use_sliding_window") or "sliding_attention" in (config.get("layer_types") or ()):
        raise WeightsFormatError("sliding-window attention is not supported", "use a model without it")
    hidden, heads = number(config, "hidden_size"), number(config, "num_attention_heads")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return LlamaConfig(
        layers=number(config, "num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=number(config, "num_key_value_heads", heads),
        head_dim=config.get("head_dim") or hidden // heads,
        intermediate=number(config, "intermediate_size"),
        vocabulary=number(config, "vocab_size"),
        context=number(config, "max_position_embeddings", 2048),
        rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        norm_epsilon=float(config.get("rms_norm_eps", 1e-6)),
        rope_scaling=_rope_scaling(rope),
    )


def _rope_scaling(rope: Json) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise WeightsFormatError(f"rotary scaling of the kind {kind!r} is not supported", "default and llama3 are")
    return RopeScaling(
        float(rope["factor"]),
        float(rope["low_freq_factor"]),
        float(rope["high_freq_factor"]),
        int(rope["original_max_position_embeddings"]),
    )


def language_model(
    checkpoint: Checkpoint, config: LlamaConfig, prefix: str, *, tied: bool, head: str = "lm_head.weight"
) -> LlamaWeights:
    """The language model whose tensors begin with `prefix` ("model."), with those biases that are there. For `tied` and
    the errors see `named_language_model`."""
    wanted = tensor_shapes(config)
    names = {name: prefix + name.removeprefix("model.") for name in wanted}
    biases = [name.replace(".weight", ".bias") for name in wanted if "_proj." in name]
    names |= {name: theirs for name in biases if (theirs := prefix + name.removeprefix("model.")) in checkpoint.tensors}
    return named_language_model(checkpoint, config, names, head=head, tied=tied)


def named_language_model(
    checkpoint: Checkpoint, config: LlamaConfig, names: Mapping[str, str], *, head: str, tied: bool
) -> LlamaWeights:
    """The language model whose tensors `names` gives: ours to theirs. The head is its own if the file has one, called
    `head`, that is not `tied` to the table and not equal to it. Raises WeightsFormatError for missing tensors or other
    shapes."""
    tensors, found = checkpoint.tensors, dict(names)
    table = found["model.embed_tokens.weight"]
    if not tied and head in tensors and not np.array_equal(tensors[head], tensors[table]):
        found["lm_head.weight"] = head
    named = NamedTensors(tensors, found)
    check_shapes(tensor_shapes(config), named, checkpoint)
    return LlamaWeights(config, named)


def siglip(checkpoint: Checkpoint, config: SiglipConfig, prefix: str) -> Mapping[str, FloatArray]:
    """The tower whose tensors begin with `prefix`. Raises WeightsFormatError for missing tensors or other shapes."""
    wanted = tower_shapes(config)
    found = NamedTensors(checkpoint.tensors, {name: prefix + name for name in wanted})
    check_shapes(wanted, found, checkpoint)
    return found


def siglip_config(config: Json, defaults: Mapping[str, int], *, post_norm: bool = True) -> SiglipConfig:
    """The dimensions of a tower from its part of config.json. `defaults` are those of the family, whose files often
    leave them out."""
    activation = config.get("hidden_act", _ACTIVATIONS[0])
    if activation not in _ACTIVATIONS:
        raise WeightsFormatError(f"the image tower's activation {activation!r} is not supported", f"{_ACTIVATIONS} are")
    found = {name: number(config, name, defaults.get(name)) for name in (*_TOWER, "image_size")}
    return SiglipConfig(
        side=found["image_size"],
        patch=found["patch_size"],
        hidden=found["hidden_size"],
        layers=found["num_hidden_layers"],
        heads=found["num_attention_heads"],
        intermediate=found["intermediate_size"],
        norm_epsilon=float(config.get("layer_norm_eps", 1e-6)),
        post_norm=post_norm,
    )


_TOWER = ("patch_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def check_shapes(
    wanted: Mapping[str, tuple[int, ...]], tensors: Mapping[str, FloatArray], checkpoint: Checkpoint
) -> None:
    """Raises `WeightsFormatError` if one of the tensors is missing or has another shape; reads none of them."""
    for name, shape in wanted.items():
        try:
            found = shape_of(tensors, name)
        except KeyError as error:
            raise WeightsFormatError(
                f"{checkpoint.origin.name} lacks the tensor {error.args[0]}", "the config belongs to other weights"
            ) from error
        if found != shape:
            raise WeightsFormatError(
                f"{checkpoint.origin.name}: {name} has shape {found}, config.json says {shape}",
                "the config belongs to other weights",
            )


def model_name(checkpoint: Checkpoint) -> str:
    """The last part of what the checkpoint is called."""
    return checkpoint.origin.name.rstrip("/").rsplit("/", 1)[-1].removesuffix(".gguf")


def optional_json(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    """A JSON file beside the weights; empty where there is none. Raises InputError if it is damaged."""
    if checkpoint.described is not None:
        found: dict[str, Any] = json.loads(checkpoint.described.get(name, "{}"))
        return found
    path = checkpoint.folder / name
    return read_json(path) if path.exists() else {}


def image_processor(checkpoint: Checkpoint) -> dict[str, Any]:
    """The image processor's settings: transformers 4 keeps them in a file of their own, 5 inside processor_config."""
    nested = optional_json(checkpoint, "processor_config.json").get("image_processor")
    return dict(nested) if isinstance(nested, dict) else optional_json(checkpoint, "preprocessor_config.json")


def stop_ids(checkpoint: Checkpoint, *others: int | list[int] | None) -> tuple[int, ...]:
    """The tokens that end an answer: those of generation_config.json, and `others`. Raises InputError for none."""
    named = (optional_json(checkpoint, "generation_config.json").get("eos_token_id"), *others)
    ids = [one for some in named for one in (some if isinstance(some, list) else [some])]
    found = tuple(dict.fromkeys(one for one in ids if type(one) is int))
    if not found:
        raise InputError(f"{checkpoint.origin.name} names no token that ends an answer", "set eos_token_id")
    return found
