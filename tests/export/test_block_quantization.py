"""Blocks of 8 and 4 bits: error bounds, exactness for Q8_0, and the runtime reads them as we write them."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from lorgnette.device.session import OnnxSession
from lorgnette.export.block_quantization import quantize
from lorgnette.export.graph_builder import GraphBuilder, value
from lorgnette.export.linears import BlockLinears, DynamicLinears, FloatLinears, Linears, RowLinears, plain_rounding
from lorgnette.export.llama import FloatArray


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


@pytest.mark.parametrize("symmetric", [True, False])
def test_four_bits_err_less_than_plain_rounding(symmetric: bool) -> None:
    matrix = np.random.default_rng(2).standard_normal((64, 128)).astype(np.float32)
    blocks = quantize(matrix, bits=4, symmetric=symmetric)
    assert blocks.levels.max() <= 15 and (blocks.zeros is None) == symmetric
    plain = np.abs(matrix).reshape(64, 4, 32).max(-1, keepdims=True) / 7
    rounded = np.rint(matrix.reshape(64, 4, 32) / plain) * plain
    assert np.square(blocks.dequantize() - matrix).mean() < np.square(rounded - matrix.reshape(64, 4, 32)).mean()


def test_four_bits_keep_what_they_can_hold() -> None:
    """Sixteen even levels come back exactly, whichever end is the greater."""
    levels = np.tile(np.arange(16, dtype=np.float32), 2)[None]
    for matrix in (levels - 8, 7 - levels + 1):
        np.testing.assert_allclose(quantize(matrix, bits=4).dequantize(), matrix, atol=1e-6)
    np.testing.assert_allclose(quantize(levels, bits=4, symmetric=False).dequantize(), levels, atol=1e-5)
    np.testing.assert_array_equal(quantize(0 * levels, bits=4, symmetric=False).dequantize(), 0 * levels)


def run(linears: Linears, matrix: FloatArray, bias: FloatArray | None, x: FloatArray, path: Path) -> FloatArray:
    graph = GraphBuilder("product")
    graph.as_float32(linears(graph, "x", matrix, "product", bias), "y")
    model = graph.model([value("x", 1, ["rows", x.shape[1]])], [value("y", 1, ["rows", len(matrix)])])
    path.write_bytes(model.SerializeToString())
    return np.asarray(OnnxSession(path).run({"x": x})["y"])


@pytest.mark.parametrize(
    ("linears", "worst"),
    [
        (FloatLinears(), 1e-5),
        (BlockLinears(8), 0.02),
        (BlockLinears(4), 0.15),
        (BlockLinears(4, plain_rounding(4, symmetric=False)), 0.15),
        (DynamicLinears(), 0.02),
        (RowLinears(), 0.02),
    ],
)
@pytest.mark.parametrize("width", [128, 96, 48, 40])
def test_the_runtime_multiplies_as_numpy_does(linears: Linears, worst: float, width: int, tmp_path: Path) -> None:
    """Against the plain product, in units of its spread; 48 and 40 take smaller blocks, or none."""
    random = np.random.default_rng(3)
    matrix = random.standard_normal((24, width)).astype(np.float32)
    bias = random.standard_normal(24).astype(np.float32)
    x = random.standard_normal((5, width)).astype(np.float32)
    for offset in (bias, None):
        expected = x @ matrix.T + (0 if offset is None else offset)
        actual = run(linears, matrix, offset, x, tmp_path / "product.onnx")
        assert np.abs(actual - expected).std() <= worst * expected.std()


def test_a_large_row_does_not_spoil_the_others(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    matrix = random.standard_normal((24, 64)).astype(np.float32)
    x = random.standard_normal((4, 64)).astype(np.float32) * np.array([[1], [1000], [0], [1]], np.float32)
    exact = x @ matrix.T
    together, alone = (run(one, matrix, None, x, tmp_path / "product.onnx") for one in (DynamicLinears(), RowLinears()))
    assert np.abs(together[0] - exact[0]).std() > 0.5 * exact[0].std()
    assert np.abs(alone[[0, 1, 3]] - exact[[0, 1, 3]]).std(1).max() <= 0.02 * exact[1].std()
    assert np.abs(alone[0] - exact[0]).std() <= 0.02 * exact[0].std()
    assert not alone[2].any()
    for place in range(4):
        np.testing.assert_array_equal(
            run(RowLinears(), matrix, None, x[[place]], tmp_path / "one.onnx")[0], alone[place]
        )
