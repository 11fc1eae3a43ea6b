"""SmolLM2 (the Llama architecture) in PyTorch for training: frozen int8 base, LoRA on all seven linear layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from lorgnette.export.train.frozen_linear import FrozenLinear

_EPSILON = 1e-5
_ROPE_BASE = 100_000.0
_HEAD = 64


def _rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + _EPSILON) * weight


def rotary_angles(positions: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin [..., length, 64] of integer `positions` [..., length] (rotate-half convention)."""
    inverse = _ROPE_BASE ** (-torch.arange(0, _HEAD, 2, dtype=torch.float32) / _HEAD)
    angles = positions[..., None].float() * inverse
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class Layer(nn.Module):
    """One decoder layer over flattened tokens."""

    norm1: Tensor
    norm2: Tensor

    def __init__(self, weights: Mapping[str, Tensor], prefix: str) -> None:
        super().__init__()
        get = weights.__getitem__
        self.register_buffer("norm1", get(f"{prefix}.input_layernorm.weight"), persistent=False)
        self.register_buffer("norm2", get(f"{prefix}.post_attention_layernorm.weight"), persistent=False)
        self.qkv = FrozenLinear([get(f"{prefix}.self_attn.{n}_proj.weight") for n in "qkv"])
        self.o = FrozenLinear([get(f"{prefix}.self_attn.o_proj.weight")])
        self.gate_up = FrozenLinear([get(f"{prefix}.mlp.{n}_proj.weight") for n in ("gate", "up")])
        self.down = FrozenLinear([get(f"{prefix}.mlp.down_proj.weight")])

    def linears(self) -> Iterator[tuple[FrozenLinear, list[str]]]:
        """Each fused layer with the checkpoint names of its parts."""
        yield self.qkv, [f"self_attn.{n}_proj" for n in "qkv"]
        yield self.o, ["self_attn.o_proj"]
        yield self.gate_up, ["mlp.gate_proj", "mlp.up_proj"]
        yield self.down, ["mlp.down_proj"]

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        """x [B, L, hidden]; cos, sin [B, 1, L, 64]; bias [B, 1, L, L] added to the attention scores."""
        batch, length, hidden = x.shape
        q_width, kv_width = self.qkv.widths[0], self.qkv.widths[1]
        h = _rms_norm(x, self.norm1).reshape(-1, hidden)
        q, k, v = (
            part.view(batch, length, -1, _HEAD).transpose(1, 2)
            for part in self.qkv(h).split([q_width, kv_width, kv_width], -1)
        )
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        groups = q_width // kv_width
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scores = (q @ k.transpose(-1, -2)) * _HEAD**-0.5 + bias
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, hidden)
        x = x + self.o(mixed).view(batch, length, hidden)
        h = _rms_norm(x, self.norm2).reshape(-1, hidden)
        gate, up = self.gate_up(h).chunk(2, -1)
        added: Tensor = self.down(nn.functional.silu(gate) * up)
        return x + added.view(batch, length, hidden)


class LanguageModel(nn.Module):
    """The decoder without its head; `embedding` [vocabulary, hidden] serves as the table and the (tied) head.

    `weights` are float32 arrays under their Hugging Face names (rows of q and k in the Hugging Face order).
    """

    embedding: Tensor
    norm: Tensor

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        super().__init__()
        tensors = {name: torch.tensor(w, dtype=torch.float32) for name, w in weights.items()}
        self.register_buffer("embedding", tensors["model.embed_tokens.weight"], persistent=False)
        self.register_buffer("norm", tensors["model.norm.weight"], persistent=False)
        depth = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("model.layers."))
        self.layers = nn.ModuleList([Layer(tensors, f"model.layers.{i}") for i in range(depth)])
        self.step: Callable[..., Tensor] | None = None

    def quantize(self, x: Tensor, positions: Tensor, bias: Tensor) -> None:
        """Turn the frozen weights into int8, evening out channels by what a sample batch [B, L, hidden] shows."""
        largest: dict[FrozenLinear, Tensor] = {}

        def record(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            assert isinstance(module, FrozenLinear)
            largest[module] = args[0].abs().amax(0)

        modules = [m for m in self.modules() if isinstance(m, FrozenLinear)]
        hooks = [m.register_forward_pre_hook(record) for m in modules]
        with torch.no_grad():
            self(x, positions, bias)
        for hook in hooks:
            hook.remove()
        for module in modules:
            module.prepare(largest[module])

    def _layers(self) -> Iterator[Layer]:
        for layer in self.layers:
            assert isinstance(layer, Layer)
            yield layer

    def forward(self, x: Tensor, positions: Tensor, bias: Tensor) -> Tensor:
        """Input embeddings [B, L, hidden], positions [B, L], additive mask [B, L, L] -> final hidden states."""
        cos, sin = (t[:, None] for t in rotary_angles(positions))
        for layer in self._layers():
            x = (self.step or Layer.forward)(layer, x, cos, sin, bias[:, None])
        return _rms_norm(x, self.norm)

    def adapter(self) -> dict[str, Tensor]:
        """The trainable tensors under their names in the adapter file."""
        out: dict[str, Tensor] = {}
        for index, layer in enumerate(self._layers()):
            for module, names in layer.linears():
                for name, a, b in zip(names, module.A, module.B, strict=True):
                    out[f"lora.model.layers.{index}.{name}.A"] = a
                    out[f"lora.model.layers.{index}.{name}.B"] = b
        return out
