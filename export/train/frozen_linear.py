"""Frozen linear layers in int8 or bfloat16, forward and input gradient, with trainable low-rank updates in float32.

The base weights never change, so both products that touch them (the forward one and the gradient of the input) run as
int8 matrix products with one scale a row and one scale a column; this is the SwitchBack scheme of Wortsman et al.,
"Stable and low-precision training for large-scale vision-language models" (2023). On a CPU with VNNI it is about four
times as fast as float32. Channels with outliers are evened out beforehand by folding a per-channel factor into the
weights, as in Xiao et al., "SmoothQuant" (2022). Where bfloat16 is the faster way (a GPU), the products run in that.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

LORA_RANK = 16
LORA_SCALE = 2.0  # alpha / rank = 32 / 16
_SMOOTHING = 0.5


def _quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric int8 with one scale a row: x ~ q * scale."""
    scale = x.abs().amax(-1, keepdim=True).clamp_min(1e-12) / 127.0
    return (x / scale).round().to(torch.int8), scale


class _Int8Product(torch.autograd.Function):
    """x [m, k] times a frozen weight [n, k], both passes in int8."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, w_scale: Tensor, wt: Tensor, wt_scale: Tensor) -> Tensor:
        ctx.save_for_backward(wt, wt_scale)
        q, scale = _quantize_rows(x)
        return torch._int_mm(q, w.t()).float() * scale * w_scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        wt, wt_scale = ctx.saved_tensors
        q, scale = _quantize_rows(grads[0])
        return torch._int_mm(q, wt.t()).float() * scale * wt_scale, None, None, None, None


class FrozenLinear(nn.Module):
    """Several linear layers that share their input, as one: y_i = x W_i^T + LORA_SCALE * x A_i^T B_i^T.

    `weights` are the frozen matrices [n_i, k]; the result is their outputs side by side. Call `prepare` with the
    largest absolute input per channel before the first use.
    """

    w: Tensor
    w_scale: Tensor
    wt: Tensor
    wt_scale: Tensor
    smooth: Tensor
    full: Tensor

    def __init__(self, weights: list[Tensor]) -> None:
        super().__init__()
        self.widths = [w.shape[0] for w in weights]
        self.register_buffer("full", torch.cat(weights), persistent=False)
        self.A = nn.ParameterList(
            [nn.Parameter(torch.empty(LORA_RANK, w.shape[1]).uniform_(-1, 1) / math.sqrt(w.shape[1])) for w in weights]
        )
        self.B = nn.ParameterList([nn.Parameter(torch.zeros(w.shape[0], LORA_RANK)) for w in weights])
        for name in ("w", "w_scale", "wt", "wt_scale", "smooth"):
            self.register_buffer(name, torch.empty(0), persistent=False)

    def prepare(self, channel_max: Tensor) -> None:
        """Quantise: `channel_max` [k] evens out the input's channels (x / s) against the weights' (W * s)."""
        weight_max = self.full.abs().amax(0).clamp_min(1e-5)
        s = (channel_max.clamp_min(1e-5) ** _SMOOTHING / weight_max ** (1 - _SMOOTHING)).clamp(1e-4, 1e4)
        self.smooth = 1.0 / s
        scaled = self.full * s
        self.w, scale = _quantize_rows(scaled)
        self.w_scale = scale.t().contiguous()
        wt, scale = _quantize_rows(scaled.t().contiguous())
        self.wt, self.wt_scale = wt.contiguous(), scale.t().contiguous()

    @property
    def rounded(self) -> bool:
        """Whether the base weights have been rounded to int8 or bfloat16."""
        return self.w.numel() > 0 or self.full.dtype == torch.bfloat16

    def _base(self, x: Tensor) -> Tensor:
        if self.full.dtype == torch.bfloat16:
            return (x.to(torch.bfloat16) @ self.full.t()).float()
        if self.w.numel() == 0:
            return x @ self.full.t()
        product: Tensor = _Int8Product.apply(  # type: ignore[no-untyped-call]
            x * self.smooth, self.w, self.w_scale, self.wt, self.wt_scale
        )
        return product

    def forward(self, x: Tensor) -> Tensor:
        """x [m, k] -> [m, sum of widths]."""
        base = self._base(x)
        # The updates are small beside the base: bfloat16 products serve them as well as float32 ones, twice as fast.
        half = torch.bfloat16 if self.rounded else torch.float32
        low = torch.split(x.to(half) @ torch.cat(list(self.A)).to(half).t(), LORA_RANK, -1)
        update = torch.cat([part @ b.to(half).t() for part, b in zip(low, self.B, strict=True)], -1)
        return base + LORA_SCALE * update.float()
