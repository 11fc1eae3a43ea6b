"""`embed_tokens`: token ids to embedding rows, with the table where the decoder's head can use it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto

from lorgnette.export.block_quantization import BlockQuantized, quantize
from lorgnette.export.graph_builder import DataFile, ExternalTensor, GraphBuilder, value
from lorgnette.export.llama import FloatArray


@dataclass(frozen=True, slots=True)
class FloatTable:
    """The fp32 table [vocabulary, hidden] and the place of its bytes."""

    array: FloatArray
    place: ExternalTensor


@dataclass(frozen=True, slots=True)
class QuantizedTable:
    """The 8-bit table and the places of its data and scales."""

    blocks: BlockQuantized
    data_place: ExternalTensor
    scales_place: ExternalTensor


def write_float_embedding(embedding: FloatArray, path: Path) -> FloatTable:
    """Write `path` (input_ids i64 [B, S] -> inputs_embeds f32 [B, S, H]) and `path`_data."""
    with DataFile(Path(f"{path}_data")) as data:
        table = FloatTable(embedding, data.append(embedding))
    graph = GraphBuilder("embed_tokens")
    weight = graph.weight("embedding", embedding, table.place)
    graph.node("Gather", [weight, "input_ids"], "inputs_embeds", axis=0)
    _save(graph, embedding.shape[1], path)
    return table


def write_quantized_embedding(embedding: FloatArray, path: Path) -> QuantizedTable:
    """As `write_float_embedding`, with 8-bit blocks (exact if the table came from GGUF's Q8_0)."""
    blocks = quantize(embedding)
    with DataFile(Path(f"{path}_data")) as data:
        table = QuantizedTable(blocks, data.append(blocks.data), data.append(blocks.scales))
    graph = GraphBuilder("embed_tokens")
    weight = graph.weight("embedding", blocks.data, table.data_place)
    scales = graph.weight("embedding_scales", blocks.scales, table.scales_place)
    graph.contrib(
        "GatherBlockQuantized",
        [weight, "input_ids", scales],
        "inputs_embeds",
        gather_axis=0,
        quantize_axis=1,
        block_size=blocks.block,
        bits=8,
    )
    _save(graph, embedding.shape[1], path)
    return table


def _save(graph: GraphBuilder, hidden: int, path: Path) -> None:
    model = graph.model(
        [value("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"])],
        [value("inputs_embeds", TensorProto.FLOAT, ["batch_size", "sequence_length", hidden])],
    )
    path.write_bytes(model.SerializeToString(deterministic=True))
