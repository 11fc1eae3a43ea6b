"""A Llama-shaped language model as plain arrays: its dimensions, its weights under the Hugging Face names."""

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


@dataclass(frozen=True, slots=True)
class LlamaWeights:
    """`tensors` holds float32 arrays: `model.embed_tokens.weight` [V, H] (tied with the head), `model.norm.weight` [H],
    and for each layer `model.layers.N.{input_layernorm,post_attention_layernorm}.weight` and the seven `LINEARS`, each
    [outputs, inputs]."""

    config: LlamaConfig
    tensors: Mapping[str, FloatArray]

    def linear(self, layer: int, name: str) -> FloatArray:
        return self.tensors[f"model.layers.{layer}.{name}.weight"]

    def norm(self, layer: int, name: str) -> FloatArray:
        return self.tensors[f"model.layers.{layer}.{name}.weight"]

    @property
    def embedding(self) -> FloatArray:
        return self.tensors["model.embed_tokens.weight"]


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
