"""How a matrix product is written into a graph, by the precision of its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from lorgnette.export.block_quantization import BlockQuantized, quantize
from lorgnette.export.graph_builder import GraphBuilder
from lorgnette.export.llama import FloatArray
from lorgnette.export.precision import Precision

# Activations are rounded to 8 bits too and products are summed as integers: twice the speed of float on any CPU with a
# dot-product instruction, at a cost in accuracy that the manifest reports.
_INTEGER_ACCURACY = 4
# For 8 bits, twice the table's block: 6 % fewer bytes and 8 % less time a token than 32, for .0041 instead of .0026 of
# mean KL. 4 bits need the smaller one.
_BLOCKS = {8: 64, 4: 32}
_SMALLEST_BLOCK = 16


class Linears(Protocol):
    """Emits x [..., inputs] -> x @ matrix.T + bias for a `matrix` [outputs, inputs]; returns the product's name."""

    def __call__(
        self, graph: GraphBuilder, x: str, matrix: FloatArray, name: str, bias: FloatArray | None = None
    ) -> str: ...


class FloatLinears:
    """Plain products, in the graph's float type."""

    def __call__(
        self, graph: GraphBuilder, x: str, matrix: FloatArray, name: str, bias: FloatArray | None = None
    ) -> str:
        weight = graph.weight(f"{name}.weight", np.ascontiguousarray(matrix.T))
        return _add(graph, graph.node("MatMul", [x, weight], name), name, bias)


Quantizer = Callable[[FloatArray, str, int], BlockQuantized]
"""Rounds a matrix, which has a name in the graph, to blocks of so many inputs."""


def plain_rounding(bits: int, *, symmetric: bool = True) -> Quantizer:
    """Each block to the levels that are nearest, whatever the matrix is multiplied with."""

    def rounded(matrix: FloatArray, name: str, block: int) -> BlockQuantized:
        return quantize(matrix, block, bits=bits, symmetric=symmetric or bits == 8)

    return rounded


class BlockLinears:
    """MatMulNBits: what decodes fastest, since reading the weights is what a single token waits for."""

    def __init__(self, bits: int, quantizer: Quantizer | None = None) -> None:
        self._bits = bits
        self._quantizer = quantizer or plain_rounding(bits)

    def __call__(
        self, graph: GraphBuilder, x: str, matrix: FloatArray, name: str, bias: FloatArray | None = None
    ) -> str:
        block = _BLOCKS[self._bits]
        while matrix.shape[1] % block and block > _SMALLEST_BLOCK:
            block //= 2
        if matrix.shape[1] % block:
            return FloatLinears()(graph, x, matrix, name, bias)
        blocks = self._quantizer(matrix, name, block)
        data = graph.weight(f"{name}.data", blocks.packed())
        operands = [x, data, graph.weight(f"{name}.scales", blocks.scales)]
        zeros = blocks.packed_zeros()
        if zeros is not None:
            operands.append(graph.weight(f"{name}.zeros", zeros))
        return _add(graph, block_product(graph, operands, blocks, name), name, bias)


class DynamicLinears:
    """Whole rows of weights in 8 bits, activations rounded as they come, summed by integers: what runs fastest where a
    product has many rows, as for the patches of a picture (4 to 7 times float on a CPU with a dot-product instruction).
    """

    def __call__(
        self, graph: GraphBuilder, x: str, matrix: FloatArray, name: str, bias: FloatArray | None = None
    ) -> str:
        operands = [x, *_rounded_rows(graph, matrix, name)]
        if bias is not None:
            operands += ["", graph.weight(f"{name}.bias", bias)]
        return graph.contrib("DynamicQuantizeMatMul", operands, name)


class RowLinears:
    """The same with each row of x rounded by itself: language models make single positions with numbers a hundred times
    as large as others', beside which those would be rounded to nothing; and a position means the same alone and among
    others, as where a prompt is computed in pieces.

    It is what WebAssembly is fast with, which unpacks all blocks of MatMulNBits for each token (15 times as long).
    """

    def __call__(
        self, graph: GraphBuilder, x: str, matrix: FloatArray, name: str, bias: FloatArray | None = None
    ) -> str:
        levels, largest = _rounded_positions(graph, x)
        data, scales = _rounded_rows(graph, matrix, name)
        operands = [levels, data, "level", scales, "middle"]
        product = graph.contrib("MatMulIntegerToFloat", operands, f"{name}.product_of_units")
        return _add(graph, graph.node("Mul", [product, largest], name), name, bias)


def _rounded_rows(graph: GraphBuilder, matrix: FloatArray, name: str) -> tuple[str, str]:
    """A matrix [outputs, inputs] in 8 bits [inputs, outputs], and the scale of each output."""
    scales = np.abs(matrix).max(axis=1) / np.float32(127)
    divisor = np.where(scales == 0, np.float32(1), scales)
    levels = np.rint(matrix / divisor[:, None]).astype(np.int8)
    data = graph.weight(f"{name}.data", np.ascontiguousarray(levels.T))
    return data, graph.weight(f"{name}.scales", scales.astype(np.float32))


def _rounded_positions(graph: GraphBuilder, x: str) -> tuple[str, str]:
    """x divided by the largest absolute number of each row, in 8 bits, and those; once for all matrices that x goes to.

    Levels are 1/127 apart, and 128 stands for 0."""
    levels, largest = f"{x}.levels", f"{x}.largest"
    if not graph.has(levels):
        size = graph.node("Abs", [x], f"{x}.size")
        axis = graph.weight("last_axis", np.array([-1], np.int64))
        tiny = graph.weight("tiny", np.array(np.finfo(np.float32).tiny))  # a row of zeros stays one
        graph.node("Max", [graph.node("ReduceMax", [size, axis], f"{x}.largest_size"), tiny], largest)
        unit = graph.node("Div", [x, largest], f"{x}.unit")
        level = graph.weight("level", np.array(1 / 127, np.float32))
        graph.node("QuantizeLinear", [unit, level, graph.weight("middle", np.array(128, np.uint8))], levels)
    return levels, largest


def decoder_linears(precision: Precision, quantizer: Quantizer | None = None, *, rowwise: bool = False) -> Linears:
    """What suits products of a few rows; `rowwise` where those of blocks are slow."""
    if rowwise:
        return RowLinears()
    return BlockLinears(precision.bits, quantizer) if precision.quantized else FloatLinears()


def encoder_linears(precision: Precision) -> Linears:
    """What suits products of many rows."""
    return DynamicLinears() if precision.bits == 8 else decoder_linears(precision)


def block_product(graph: GraphBuilder, operands: list[str], blocks: BlockQuantized, name: str) -> str:
    """x, data, scales and perhaps zeros -> the product with the matrix that they stand for."""
    outputs, inputs = blocks.levels.shape
    attributes = {"K": inputs, "N": outputs, "bits": blocks.bits, "block_size": blocks.block}
    return graph.contrib("MatMulNBits", operands, name, accuracy_level=_INTEGER_ACCURACY, **attributes)


def _add(graph: GraphBuilder, product: str, name: str, bias: FloatArray | None) -> str:
    if bias is None:
        return product
    return graph.node("Add", [product, graph.weight(f"{name}.bias", bias)], f"{name}.biased")
