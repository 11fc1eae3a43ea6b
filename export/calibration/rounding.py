"""Rounds the matrices of a decoder by what they multiply."""

from __future__ import annotations

from lorgnette.export.block_quantization import BlockQuantized, quantize
from lorgnette.export.calibration.gptq import gptq
from lorgnette.export.calibration.moments import Moments
from lorgnette.export.llama import FloatArray


class CalibratedRounding:
    """A `Quantizer` to 4 bits: GPTQ for the matrices that `moments` knows, plain rounding for others."""

    def __init__(self, moments: Moments, *, symmetric: bool) -> None:
        self._moments, self._symmetric = moments, symmetric

    def __call__(self, matrix: FloatArray, name: str, block: int) -> BlockQuantized:
        seen = self._moments.of(name)
        if seen is None:
            return quantize(matrix, block, bits=4, symmetric=self._symmetric)
        return gptq(matrix, seen, block, symmetric=self._symmetric)
