"""Symmetric 8-bit blocks as ONNX Runtime's MatMulNBits and GatherBlockQuantized read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.export.llama import FloatArray

ZERO_POINT = 128  # what both operators take for 8 bits when no zero points are given


@dataclass(frozen=True, slots=True)
class BlockQuantized:
    """A matrix [outputs, inputs] in blocks of inputs that share a scale: weight = (data - 128) * scale.

    `data` is uint8 [outputs, inputs], `scales` float32 [outputs, inputs / block].
    """

    data: npt.NDArray[np.uint8]
    scales: FloatArray

    @property
    def block(self) -> int:
        """Inputs to a block."""
        return int(self.data.shape[1] // self.scales.shape[1])

    def dequantize(self) -> FloatArray:
        centred = self.data.astype(np.float32) - np.float32(ZERO_POINT)
        return (centred.reshape(*self.scales.shape, self.block) * self.scales[..., None]).reshape(self.data.shape)


def quantize(matrix: FloatArray, block: int = 32) -> BlockQuantized:
    """Round each block to 8 bits, its greatest magnitude at 127; at 32 this gives back a GGUF Q8_0 matrix exactly."""
    outputs, inputs = matrix.shape
    if inputs % block:
        raise ValueError(f"{inputs} inputs are not a multiple of {block}")
    blocks = matrix.reshape(outputs, inputs // block, block)
    scales = np.abs(blocks).max(axis=-1) / np.float32(127)
    divisor = np.where(scales == 0, np.float32(1), scales)
    data = (np.rint(blocks / divisor[..., None]) + ZERO_POINT).astype(np.uint8)
    return BlockQuantized(data.reshape(outputs, inputs), scales.astype(np.float32))
