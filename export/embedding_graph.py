"""`embed_tokens`: token ids to embedding rows, with the table where the decoder's head can use it too.

`input_ids` i64 [B, S] -> `inputs_embeds` f32 [B, S, H], whatever the precision inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto

from lorgnette.export.block_quantization import BlockQuantized, quantize
from lorgnette.export.graph_builder import DataFile, ExternalTensor, GraphBuilder, data_beside, value, write_graph
from lorgnette.export.llama import FloatArray
from lorgnette.export.precision import Precision

_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Table:
    """The table [vocabulary, hidden] as it was written: floats, or blocks of 8 or 4 bits.

    `places` tell where its bytes lie, for a head that shares them: the floats, or the levels and the scales.
    """

    content: FloatArray | BlockQuantized
    places: tuple[ExternalTensor, ...]


def write_embedding(
    embedding: FloatArray,
    path: Path,
    precision: Precision,
    *,
    bits: int = 8,
    shared: DataFile | None = None,
    standard: bool = False,
) -> Table:
    """Write the graph to `path` and the table to `path`_data, or to the `shared` file beside it.

    A quantized precision has a table of `bits`: 8 are exact if it came from GGUF's Q8_0, 4 are half as large. A
    `standard` graph has no operators but ONNX's own: transformers.js has no other for this where there is no GPU. (Here
    it takes a token 0.03 ms more than one GatherBlockQuantized.)
    """
    with data_beside(path, shared) as data:
        graph = GraphBuilder("embed_tokens", data, half=precision.half)
        if precision.quantized:
            table = _rounded(graph, quantize(embedding, _BLOCK, bits=bits), data, standard)
        else:
            rows = embedding.astype(np.float16) if precision.half else embedding
            table = Table(embedding, (data.append(rows),))
            weight = graph.weight("embedding", embedding, table.places[0])
            graph.node("Gather", [weight, "input_ids"], "rows", axis=0)
        graph.as_float32("rows", "inputs_embeds")
    model = graph.model(
        [value("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"])],
        [value("inputs_embeds", TensorProto.FLOAT, ["batch_size", "sequence_length", embedding.shape[1]])],
    )
    write_graph(model, path)
    return table


def _rounded(graph: GraphBuilder, blocks: BlockQuantized, data: DataFile, standard: bool) -> Table:
    levels = blocks.packed().reshape(len(blocks.levels), -1)
    scales = blocks.scales.astype(np.float16) if graph.half else blocks.scales
    table = Table(blocks, (data.append(levels), data.append(scales)))
    weight = graph.weight("embedding", levels, table.places[0])
    block_scales = graph.weight("embedding_scales", blocks.scales, table.places[1])
    if standard:
        found = graph.node("Gather", [weight, "input_ids"], "levels", axis=0)
        _dequantize(graph, found, graph.node("Gather", [block_scales, "input_ids"], "row_scales", axis=0), blocks)
    else:
        graph.contrib(
            "GatherBlockQuantized",
            [weight, "input_ids", block_scales],
            "rows",
            gather_axis=0,
            quantize_axis=1,
            block_size=blocks.block,
            bits=blocks.bits,
        )
    return table


def _dequantize(graph: GraphBuilder, levels: str, scales: str, blocks: BlockQuantized) -> None:
    """`rows` [B, S, H] of `levels` [B, S, H * bits / 8] and `scales` [B, S, H / block]."""

    def constant(name: str, content: float | list[int]) -> str:
        dtype = np.int64 if isinstance(content, list) else np.float32
        return graph.weight(name, np.array(content, dtype))

    numbers, last = graph.node("Cast", [levels], "numbers", to=graph.float_type), constant("last_axis", [-1])
    if blocks.bits == 4:  # two in a byte, the lower half first
        halves = graph.node("Floor", [graph.node("Div", [numbers, constant("sixteen", 16.0)], "sixteenths")], "upper")
        lower = graph.node("Sub", [numbers, graph.node("Mul", [halves, "sixteen"], "upper_part")], "lower")
        pair = [graph.node("Unsqueeze", [half, last], f"{half}_half") for half in (lower, halves)]
        numbers = graph.node("Concat", pair, "pairs", axis=-1)
    centred = graph.node("Sub", [numbers, constant("middle", float(1 << blocks.bits - 1))], "centred")
    in_blocks = graph.node("Reshape", [centred, constant("blocks_shape", [0, 0, blocks.scales.shape[1], -1])], "blocks")
    scaled = graph.node("Mul", [in_blocks, graph.node("Unsqueeze", [scales, last], "block_scales")], "scaled")
    graph.node("Reshape", [scaled, constant("rows_shape", [0, 0, -1])], "rows")
