"""The image encoder in PyTorch, for training: what `encoder_graph` writes as ONNX, from the same checkpoint.

Batch norms keep the statistics of their checkpoint, so a batch's pictures do not speak to each other and the trained
tensors go back into the checkpoint under their own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from lorgnette.export.encoder_graph import (
    BN_EPSILON,
    COLOUR_POOL,
    COLOUR_SIZE,
    FINE_EPSILON,
    FINE_STAGE,
    FOLD,
    HEAD,
    STEM,
    STRIDE,
    Convolution,
    blocks,
    colour_kernel,
)

_STATISTICS = ("running_mean", "running_var")


class Encoder(nn.Module):
    """Normalised pixels [B, 3, S, S] -> cells [B, (S / 32)^2, channels], float32, rows first.

    `weights` is an EfficientNet-Lite state dict; its classifier is not part of this. On a GPU the convolutions run in
    bfloat16.
    """

    colour_weight: Tensor
    colour_bias: Tensor

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        super().__init__()
        self._blocks = blocks(weights)
        self._tensors = nn.ParameterDict()
        for name, array in weights.items():
            last = name.rpartition(".")[2]
            if name.startswith("_fc.") or last == "num_batches_tracked":
                continue
            tensor = torch.tensor(array, dtype=torch.float32)
            if last in _STATISTICS:
                self.register_buffer(_key(name), tensor, persistent=False)
            else:
                self._tensors[_key(name)] = nn.Parameter(tensor)
        kernel, bias = colour_kernel()
        self.register_buffer("colour_weight", torch.from_numpy(kernel), persistent=False)
        self.register_buffer("colour_bias", torch.from_numpy(bias), persistent=False)

    def learn(self, stages: int) -> None:
        """Train the last `stages` (and, unless there are none, the head); what is before them stays as it is."""
        first = max(block.stage for block in self._blocks) + 1 - stages
        names = {block.name: block.stage for block in self._blocks} | {"_conv_stem": -1, "_bn0": -1}
        for name, tensor in self.tensors().items():
            stage = next((stage for prefix, stage in names.items() if name.startswith(f"{prefix}.")), first)
            tensor.requires_grad_(stages > 0 and (stage >= first or first <= 0))

    def tensors(self) -> dict[str, Tensor]:
        """What can be trained, under the checkpoint's names."""
        return {key.replace("/", "."): tensor for key, tensor in self._tensors.items()}

    def forward(self, pixels: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=pixels.device.type == "cuda"):
            recognised, fine = self._network(pixels)
        with torch.autocast(pixels.device.type, enabled=False):
            fine = fine.float()
            fine = fine / (fine.square().mean(1, keepdim=True) + FINE_EPSILON).sqrt()
            parts = [recognised.float(), _quarters(fine), _quarters(self._named_colours(pixels))]
            return torch.cat(parts, 1).flatten(2).transpose(1, 2)

    def _network(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        x = pixels.contiguous(memory_format=torch.channels_last)  # a third faster than the other order, on a CPU too
        x = self._convolve(x, STEM)
        fine = x
        for block in self._blocks:
            y = x
            for convolution in block.convolutions:
                y = self._convolve(y, convolution)
            x = x + y if block.residual else y
            if block.stage == FINE_STAGE:
                fine = x
        return self._convolve(x, HEAD), fine

    def _convolve(self, x: Tensor, convolution: Convolution) -> Tensor:
        norm = convolution.norm_name
        get = self._tensors.__getitem__
        variance, mean = (getattr(self, _key(f"{norm}.{name}")) for name in ("running_var", "running_mean"))
        scale = get(_key(f"{norm}.weight")) * torch.rsqrt(variance + BN_EPSILON)
        bias = get(_key(f"{norm}.bias")) - mean * scale
        kernel = get(_key(f"{convolution.name}.weight")) * scale[:, None, None, None]
        width, side = kernel.shape[1], kernel.shape[2]
        # TensorFlow's "SAME" for pictures that the stride divides: what is odd goes to the end.
        padding = side - convolution.stride
        x = nn.functional.pad(x, [padding // 2, padding - padding // 2] * 2) if padding > 0 else x
        groups = kernel.shape[0] if width == 1 else 1
        y = nn.functional.conv2d(x, kernel, bias, convolution.stride, groups=groups)
        return y.clamp(0, 6) if convolution.relu6 else y

    def _named_colours(self, pixels: Tensor) -> Tensor:
        pooled = nn.functional.avg_pool2d(pixels, COLOUR_POOL)
        shares = nn.functional.conv2d(pooled, self.colour_weight, self.colour_bias).softmax(1)
        return nn.functional.avg_pool2d(shares, STRIDE // FOLD // COLOUR_POOL) * COLOUR_SIZE


def _key(name: str) -> str:
    return name.replace(".", "/")  # PyTorch wants no dots in names


def _quarters(x: Tensor) -> Tensor:
    """[B, C, 2 h, 2 w] -> [B, 4 C, h, w]."""
    batch, width, height, length = x.shape
    split = x.reshape(batch, width, height // FOLD, FOLD, length // FOLD, FOLD)
    return split.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)
