"""Rounds the matrices of a decoder by what they multiply."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from lorgnette.export.block_quantization import BlockQuantized, quantize
from lorgnette.export.calibration.gptq import gptq
from lorgnette.export.calibration.moments import Moments
from lorgnette.export.calibration.smoothing import smoothed
from lorgnette.export.llama import FloatArray, LlamaWeights


class CalibratedRounding:
    """A `Quantizer` to 4 bits: GPTQ for the matrices that the moments know, plain rounding for others; and `smooth` for
    what is rounded by rows. The moments are made when either is first wanted."""

    def __init__(self, make_moments: Callable[[], Moments], *, symmetric: bool) -> None:
        self._make_moments, self._symmetric = make_moments, symmetric

    @cached_property
    def _moments(self) -> Moments:
        return self._make_moments()

    def __call__(self, matrix: FloatArray, name: str, block: int) -> BlockQuantized:
        seen = self._moments.of(name)
        if seen is None:
            return quantize(matrix, block, bits=4, symmetric=self._symmetric)
        return gptq(matrix, seen, block, symmetric=self._symmetric)

    def smooth(self, weights: LlamaWeights) -> LlamaWeights:
        """The same model, easier to round by rows."""
        return smoothed(weights, self._moments)
