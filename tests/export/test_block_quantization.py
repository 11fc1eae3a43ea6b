"""8-bit blocks: error bound, exactness for Q8_0, and the runtime reads them as we write them."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from lorgnette.export.block_quantization import quantize


def test_error_is_half_a_step_at_most() -> None:
    matrix = np.random.default_rng(0).standard_normal((16, 96)).astype(np.float32)
    blocks = quantize(matrix)
    error = np.abs(blocks.dequantize() - matrix).reshape(16, 3, 32)
    assert (error <= 0.5001 * blocks.scales[..., None]).all()


def test_q8_0_comes_back_exactly() -> None:
    matrix = np.random.default_rng(1).standard_normal((64, 128)).astype(np.float32)
    kind = gguf.GGMLQuantizationType.Q8_0
    stored = gguf.quants.dequantize(gguf.quants.quantize(matrix, kind), kind)
    np.testing.assert_allclose(quantize(stored).dequantize(), stored, rtol=1e-6, atol=0)


def test_zero_blocks_stay_zero() -> None:
    matrix = np.zeros((2, 64), np.float32)
    matrix[1, 40] = 3.0
    np.testing.assert_array_equal(quantize(matrix).dequantize(), matrix)


def test_odd_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        quantize(np.ones((4, 40), np.float32))
