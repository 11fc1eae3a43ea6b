"""Symmetric 8-bit blocks as ONNX Runtime's MatMulNBits and GatherBlockQuantized read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.export.llama import FloatArray

BLOCK = 32
ZERO_POINT = 128  # what both operators take for 8 bits when no zero points are given


@dataclass(frozen=True, slots=True)
class BlockQuantized:
    """A matrix [outputs, inputs] in blocks of 32 inputs: weight = (data - 128) * scale.

    `data` is uint8 [outputs, inputs], `scales` float32 [outputs, inputs / 32].
    """

    data: npt.NDArray[np.uint8]
    scales: FloatArray

    def dequantize(self) -> FloatArray:
        centred = self.data.astype(np.float32) - np.float32(ZERO_POINT)
        return (centred.reshape(*self.scales.shape, BLOCK) * self.scales[..., None]).reshape(self.data.shape)


def quantize(matrix: FloatArray) -> BlockQuantized:
    """Round each block to 8 bits with its greatest magnitude at 127, which gives back a GGUF Q8_0 matrix exactly."""
    outputs, inputs = matrix.shape
    if inputs % BLOCK:
        raise ValueError(f"{inputs} inputs are not a multiple of {BLOCK}")
    blocks = matrix.reshape(outputs, inputs // BLOCK, BLOCK)
    scales = np.abs(blocks).max(axis=-1) / np.float32(127)
    divisor = np.where(scales == 0, np.float32(1), scales)
    data = (np.rint(blocks / divisor[..., None]) + ZERO_POINT).astype(np.uint8)
    return BlockQuantized(data.reshape(outputs, inputs), scales.astype(np.float32))
