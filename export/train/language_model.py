"""SmolLM2 (the Llama architecture) in PyTorch for training: frozen base weights, LoRA on all seven linear layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from lorgnette.export.train.frozen_linear import FrozenLinear

Cache = tuple[Tensor, Tensor]
"""Keys and values of one layer, each [B, kv_heads, positions, 64]."""

_EPSILON = 1e-5
_ROPE_BASE = 100_000.0
_HEAD = 64


def _rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + _EPSILON) * weight


def rotary_angles(positions: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin [..., length, 64] of integer `positions` [..., length] (rotate-half convention)."""
    inverse = _ROPE_BASE ** (-torch.arange(0, _HEAD, 2, dtype=torch.float32, device=positions.device) / _HEAD)
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
        self.dropout = 0.0

    def linears(self) -> Iterator[tuple[FrozenLinear, list[str]]]:
        """Each fused layer with the checkpoint names of its parts."""
        yield self.qkv, [f"self_attn.{n}_proj" for n in "qkv"]
        yield self.o, ["self_attn.o_proj"]
        yield self.gate_up, ["mlp.gate_proj", "mlp.up_proj"]
        yield self.down, ["mlp.down_proj"]

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        """x [B, L, hidden]; cos, sin [B, 1, L, 64]; bias [B, 1, L, L] added to the attention scores."""
        return self._mix(x, *self._project(x, cos, sin), bias)

    def extend(self, x: Tensor, cos: Tensor, sin: Tensor, past: Cache | None, bias: Tensor) -> tuple[Tensor, Cache]:
        """As `forward` behind the keys and values of `past` [B, kv_heads, P, 64]; bias [.., L, P + L]."""
        q, k, v = self._project(x, cos, sin)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        return self._mix(x, q, k, v, bias), (k, v)

    def _project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, heads, L, 64], keys and values [B, kv_heads, L, 64]."""
        batch, length, hidden = x.shape
        q_width, kv_width = self.qkv.widths[0], self.qkv.widths[1]
        h = _rms_norm(x, self.norm1).reshape(-1, hidden)
        q, k, v = (
            part.view(batch, length, -1, _HEAD).transpose(1, 2)
            for part in self.qkv(h).split([q_width, kv_width, kv_width], -1)
        )
        return _rotate(q, cos, sin), _rotate(k, cos, sin), v

    def _mix(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        batch, length, hidden = x.shape
        half = torch.bfloat16 if self.o.rounded else torch.float32
        k, v = k.to(half), v.to(half)
        # Query heads that share keys stand as rows of one product, so that keys and values need not be repeated.
        shared = q.to(half).reshape(batch, k.shape[1], -1, _HEAD)
        scores = (shared @ k.transpose(-1, -2)).float().view(batch, -1, length, k.shape[2]) * _HEAD**-0.5 + bias
        weights = scores.softmax(-1).to(half).view(batch, k.shape[1], -1, k.shape[2])
        mixed = (weights @ v).float().view(batch, -1, length, _HEAD).transpose(1, 2).reshape(-1, hidden)
        x = x + self._drop(self.o(mixed)).view(batch, length, hidden)
        h = _rms_norm(x, self.norm2).reshape(-1, hidden)
        gate, up = self.gate_up(h).chunk(2, -1)
        added = self._drop(self.down(nn.functional.silu(gate) * up))
        return x + added.view(batch, length, hidden)

    def _drop(self, added: Tensor) -> Tensor:
        return nn.functional.dropout(added, self.dropout, self.training) if self.dropout else added


class LanguageModel(nn.Module):
    """The decoder without its head; `embedding` [vocabulary, hidden] serves as the table and the (tied) head.

    `weights` are float32 arrays under their Hugging Face names (rows of q and k in the Hugging Face order). `dropout`
    is of what each half of a layer adds, while training.
    """

    embedding: Tensor
    norm: Tensor

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], dropout: float = 0.0) -> None:
        super().__init__()
        tensors = {name: torch.tensor(w, dtype=torch.float32) for name, w in weights.items()}
        self.register_buffer("embedding", tensors["model.embed_tokens.weight"], persistent=False)
        self.register_buffer("norm", tensors["model.norm.weight"], persistent=False)
        depth = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("model.layers."))
        self.layers = nn.ModuleList([Layer(tensors, f"model.layers.{i}") for i in range(depth)])
        for layer in self._layers():
            layer.dropout = dropout
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
            # Compiled for training alone: for a few examinations it would take longer than it saves.
            forward = self.step if self.step and self.training else Layer.forward
            x = forward(layer, x, cos, sin, bias[:, None])
        return _rms_norm(x, self.norm)

    def extend(self, x: Tensor, start: int, past: list[Cache] | None) -> tuple[Tensor, list[Cache]]:
        """Decode: embeddings [B, L, hidden] of the positions from `start` on, behind `past`; the final hidden state
        [B, hidden] of the last and the grown caches. Rows are of one length."""
        length = x.shape[1]
        cos, sin = (t[None, None] for t in rotary_angles(torch.arange(start, start + length, device=x.device)))
        sees = torch.ones(length, start + length, dtype=torch.bool, device=x.device).tril(start)
        bias = torch.zeros(sees.shape, device=x.device).masked_fill_(~sees, float("-inf"))
        grown = []
        for number, layer in enumerate(self._layers()):
            x, cache = layer.extend(x, cos, sin, past[number] if past else None, bias)
            grown.append(cache)
        return _rms_norm(x[:, -1], self.norm), grown

    def to_bfloat16(self) -> None:
        """Round the frozen matrices to bfloat16; norms, embedding and low-rank updates stay float32."""
        for module in self.modules():
            if isinstance(module, FrozenLinear):
                module.full = module.full.to(torch.bfloat16)

    def adapter(self) -> dict[str, Tensor]:
        """The trainable tensors under their names in the adapter file."""
        out: dict[str, Tensor] = {}
        for index, layer in enumerate(self._layers()):
            for module, names in layer.linears():
                for name, a, b in zip(names, module.A, module.B, strict=True):
                    out[f"lora.model.layers.{index}.{name}.A"] = a
                    out[f"lora.model.layers.{index}.{name}.B"] = b
        return out
