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
    embedding: FloatArray, path: Path, precision: Precision, *, bits: int = 8, shared: DataFile | None = None
) -> Table:
    """Write the graph to `path` and the table to `path`_data, or to the `shared` file beside it.

    A quantized precision has a table of `bits`: 8 are exact if it came from GGUF's Q8_0, 4 are half as large.
    """
    with data_beside(path, shared) as data:
        graph = GraphBuilder("embed_tokens", data, half=precision.half)
        if precision.quantized:
            table = _rounded(graph, quantize(embedding, _BLOCK, bits=bits), data)
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


def _rounded(graph: GraphBuilder, blocks: BlockQuantized, data: DataFile) -> Table:
    levels = blocks.packed().reshape(len(blocks.levels), -1)
    scales = blocks.scales.astype(np.float16) if graph.half else blocks.scales
    table = Table(blocks, (data.append(levels), data.append(scales)))
    weight = graph.weight("embedding", levels, table.places[0])
    names = [weight, "input_ids", graph.weight("embedding_scales", blocks.scales, table.places[1])]
    graph.contrib(
        "GatherBlockQuantized", names, "rows", gather_axis=0, quantize_axis=1, block_size=blocks.block, bits=blocks.bits
    )
    return table
