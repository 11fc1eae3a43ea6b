"""Blocks of 8- and 4-bit weights as ONNX Runtime's MatMulNBits and GatherBlockQuantized read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.export.llama import FloatArray

_SEARCHED = np.linspace(0.7, 1.0, 13, dtype=np.float32)  # parts of a block's range that its levels may span
_ROWS = 1024  # searched at a time, to bound the memory


@dataclass(frozen=True, slots=True)
class BlockQuantized:
    """A matrix [outputs, inputs] in blocks of inputs that share a scale: weight = (level - zero) * scale.

    `levels` is uint8 [outputs, inputs], below 2 ** `bits`; `scales` float32 [outputs, inputs / block]; `zeros` uint8 of
    the same shape, or None where the zero is in the middle (128 or 8), which is what both operators take by default.
    """

    levels: npt.NDArray[np.uint8]
    scales: FloatArray
    bits: int
    zeros: npt.NDArray[np.uint8] | None = None

    @property
    def block(self) -> int:
        """Inputs to a block."""
        return int(self.levels.shape[1] // self.scales.shape[1])

    def packed(self) -> npt.NDArray[np.uint8]:
        """The levels [outputs, inputs / block, block * bits / 8], the lower half of a byte first."""
        blocks = self.levels.reshape(*self.scales.shape, self.block)
        return blocks if self.bits == 8 else _in_pairs(blocks)

    def packed_zeros(self) -> npt.NDArray[np.uint8] | None:
        """The zeros [outputs, ceil(inputs / block * bits / 8)]."""
        if self.zeros is None or self.bits == 8:
            return self.zeros
        odd = self.zeros.shape[1] % 2
        return _in_pairs(np.pad(self.zeros, ((0, 0), (0, odd))))

    def dequantize(self) -> FloatArray:
        middle = np.float32(1 << (self.bits - 1))
        zeros = middle if self.zeros is None else self.zeros[..., None].astype(np.float32)
        centred = self.levels.reshape(*self.scales.shape, self.block).astype(np.float32) - zeros
        return (centred * self.scales[..., None]).reshape(self.levels.shape)


def quantize(matrix: FloatArray, block: int = 32, *, bits: int = 8, symmetric: bool = True) -> BlockQuantized:
    """Round each block to levels of `bits`.

    8 bits are symmetric with the greatest magnitude at 127; at 32 inputs a block this gives back a GGUF Q8_0 matrix
    exactly. With 4 bits a block spans all or somewhat less than its range, whichever leaves the least squared error:
    the few values at the edge lose more than they should, the many in the middle gain.
    """
    outputs, inputs = matrix.shape
    if inputs % block:
        raise ValueError(f"{inputs} inputs are not a multiple of {block}")
    blocks = matrix.reshape(outputs, inputs // block, block)
    if bits == 8:
        scales = np.abs(blocks).max(axis=-1) / np.float32(127)
        levels = (np.rint(blocks / _divisor(scales)[..., None]) + 128).astype(np.uint8)
        return BlockQuantized(levels.reshape(outputs, inputs), scales.astype(np.float32), 8)
    return _four_bits(blocks, symmetric)


def _four_bits(blocks: FloatArray, symmetric: bool) -> BlockQuantized:
    outputs, count, block = blocks.shape
    parts = [_best_levels(blocks[row : row + _ROWS], symmetric) for row in range(0, outputs, _ROWS)]
    levels, scales, zeros = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return BlockQuantized(levels.reshape(outputs, count * block), scales, 4, None if symmetric else zeros)


def _best_levels(
    blocks: FloatArray, symmetric: bool
) -> tuple[npt.NDArray[np.uint8], FloatArray, npt.NDArray[np.uint8]]:
    if symmetric:
        # The end with the greatest magnitude lies at -8, so that all sixteen levels are used: a scale may be negative.
        ends = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=-1, keepdims=True), axis=-1)[..., 0]
        lows, widths = ends, ends / np.float32(-8)
    else:
        lows = np.minimum(blocks.min(axis=-1), 0)
        widths = (np.maximum(blocks.max(axis=-1), 0) - lows) / np.float32(15)
    best = np.full(widths.shape, np.inf, np.float32)
    levels = np.zeros(blocks.shape, np.uint8)
    scales, zeros = np.zeros_like(best), np.full(best.shape, 8, np.uint8)
    for part in _SEARCHED:
        scale = (part * widths).astype(np.float32)
        zero = np.full_like(scale, 8) if symmetric else np.rint(-part * lows / _divisor(scale))
        level = np.clip(np.rint(blocks / _divisor(scale)[..., None]) + zero[..., None], 0, 15)
        error = np.square((level - zero[..., None]) * scale[..., None] - blocks).sum(axis=-1)
        better = error < best
        best, scales = np.where(better, error, best), np.where(better, scale, scales)
        zeros = np.where(better, zero.astype(np.uint8), zeros)
        levels = np.where(better[..., None], level.astype(np.uint8), levels)
    return levels, scales, zeros


def _divisor(scales: FloatArray) -> FloatArray:
    return np.where(scales == 0, np.float32(1), scales)


def _in_pairs(levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    low, high = levels[..., 0::2], levels[..., 1::2]
    return np.asarray(low | (high << 4), np.uint8)
