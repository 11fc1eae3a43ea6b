"""GPTQ: each column's rounding error is made up for by the columns that are still to be rounded.

E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (2022). With H
the second moments of a layer's inputs, the error of column j, divided by U[j, j], is taken off the later columns along
row j of U, the upper Cholesky factor of the inverse of H.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lorgnette.export.block_quantization import BlockQuantized, quantize
from lorgnette.export.llama import FloatArray

_DAMPING = 0.01  # of the mean of H's diagonal: keeps the inverse of directions that hardly occur from running away


def gptq(matrix: FloatArray, moments: FloatArray, block: int, *, symmetric: bool) -> BlockQuantized:
    """Round `matrix` [outputs, inputs] to 4-bit blocks, given `moments` [inputs, inputs], the sum of x x^T over inputs.

    The scales and zeros of a block are chosen as `quantize` does, from what the columns have become by then.
    """
    outputs, inputs = matrix.shape
    factor = _inverse_factor(moments)
    rest = matrix.astype(np.float32, copy=True)
    levels = np.zeros((outputs, inputs), np.uint8)
    scales = np.zeros((outputs, inputs // block), np.float32)
    zeros = np.full((outputs, inputs // block), 8, np.uint8)
    for number, start in enumerate(range(0, inputs, block)):
        columns, within = slice(start, start + block), factor[start : start + block]
        found = quantize(rest[:, columns], block, bits=4, symmetric=symmetric)
        scales[:, number] = found.scales[:, 0]
        if found.zeros is not None:
            zeros[:, number] = found.zeros[:, 0]
        levels[:, columns], errors = _round_columns(
            rest[:, columns], scales[:, number], zeros[:, number], within[:, columns]
        )
        rest[:, start + block :] -= errors @ within[:, start + block :]
    return BlockQuantized(levels, scales, 4, None if symmetric else zeros)


def _round_columns(
    columns: FloatArray, scale: FloatArray, zero: npt.NDArray[np.uint8], factor: FloatArray
) -> tuple[npt.NDArray[np.uint8], FloatArray]:
    """The levels of a block's columns, and each column's error divided by its place in `factor`."""
    work, errors, levels = columns.copy(), np.zeros_like(columns), np.zeros(columns.shape, np.uint8)
    middle, divisor = zero.astype(np.float32), np.where(scale == 0, np.float32(1), scale)
    for place in range(work.shape[1]):
        level = np.clip(np.rint(work[:, place] / divisor) + middle, 0, 15)
        levels[:, place] = level
        errors[:, place] = (work[:, place] - (level - middle) * scale) / factor[place, place]
        work[:, place + 1 :] -= errors[:, place, None] * factor[place, None, place + 1 :]
    return levels, errors


def _inverse_factor(moments: FloatArray) -> FloatArray:
    """U, upper triangular, with U^T U the inverse of the damped moments."""
    damped = moments.astype(np.float64)
    diagonal = np.diag_indices(len(damped))
    damped[diagonal] += _DAMPING * float(damped[diagonal].mean()) + 1e-12
    return np.asarray(np.linalg.cholesky(np.linalg.inv(damped)).T, np.float32)
