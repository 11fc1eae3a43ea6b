"""A Llama-shaped language model (Llama, SmolLM2, Qwen2) as arrays: dimensions, and weights under Hugging Face's
names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import LorgnetteError

FloatArray = npt.NDArray[np.float32]

# The linear layers of a block, by their path inside `model.layers.N`.
LINEARS = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


class WeightsFormatError(LorgnetteError):
    """A file of weights is not of the kind, architecture or shape that the exporter reads."""


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Llama 3's stretching of the rotary frequencies: waves longer than `original_context` / `low` positions are slowed
    `factor`-fold, those shorter than `original_context` / `high` are left, between them it goes over smoothly."""

    factor: float
    low: float
    high: float
    original_context: int


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """Dimensions of the model. `context` is the most positions; rotary pairs are (i, i + head_dim / 2)."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    context: int
    rope_theta: float
    norm_epsilon: float
    rope_scaling: RopeScaling | None = None


@dataclass(frozen=True, slots=True)
class LlamaWeights:
    """`tensors` gives float32 arrays: `model.embed_tokens.weight` [V, H], `model.norm.weight` [H], `lm_head.weight`
    [V, H] unless the head is tied to the table, and for each layer
    `model.layers.N.{input_layernorm,post_attention_layernorm}.weight` and the seven `LINEARS`, each [outputs, inputs],
    with or without a `bias`. It may read them from a file when asked."""

    config: LlamaConfig
    tensors: Mapping[str, FloatArray]

    def linear(self, layer: int, name: str) -> FloatArray:
        return self.tensors[f"model.layers.{layer}.{name}.weight"]

    def bias(self, layer: int, name: str) -> FloatArray | None:
        return self.tensors.get(f"model.layers.{layer}.{name}.bias")

    def norm(self, layer: int, name: str) -> FloatArray:
        return self.tensors[f"model.layers.{layer}.{name}.weight"]

    @property
    def embedding(self) -> FloatArray:
        return self.tensors["model.embed_tokens.weight"]

    @property
    def head(self) -> FloatArray | None:
        """The head's own matrix; None where it is tied to the table."""
        return self.tensors.get("lm_head.weight")


def tensor_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor name of the model with its shape."""
    hidden, wide = config.hidden, config.intermediate
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    block = {
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (wide, hidden),
        "mlp.up_proj": (wide, hidden),
        "mlp.down_proj": (hidden, wide),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocabulary, hidden),
        "model.norm.weight": (hidden,),
    }
    for layer in range(config.layers):
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in block.items()}
    return shapes


def check_tensors(config: LlamaConfig, tensors: Mapping[str, FloatArray], source: str) -> None:
    """Raises `WeightsFormatError` if a tensor of the model is missing from `tensors` or has another shape."""
    for name, shape in tensor_shapes(config).items():
        if name not in tensors:
            raise WeightsFormatError(f"{source} lacks the tensor {name}", "fetch the file again")
        if tensors[name].shape != shape:
            raise WeightsFormatError(f"{source}: {name} has shape {tensors[name].shape}, not {shape}")
