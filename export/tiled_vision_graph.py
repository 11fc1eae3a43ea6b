"""`vision_encoder` of models that look at square tiles: SigLIP, cells folded into channels, one projection.

SmolVLM, Idefics3 and nanoVLM share it. `pixel_values` f32 [B, N, 3, side, side] and `pixel_attention_mask` bool
[B, N, side, side] -> `image_features` f32 [tiles, tokens, hidden]. A tile whose mask is all false fills up a batch and
gives no row; in all others the mask is taken to be all true, as the processors make it, so the patches' places are
fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto

from lorgnette.export.graph_builder import DataFile, GraphBuilder, value, write_graph
from lorgnette.export.linears import encoder_linears
from lorgnette.export.llama import FloatArray
from lorgnette.export.precision import Precision
from lorgnette.export.siglip_graph import SiglipConfig, siglip_nodes


@dataclass(frozen=True, slots=True)
class TiledVision:
    """A tower with its `tensors`, and the connector: `fold` x `fold` cells become one token (their channels side by
    side, "pixel shuffle"), which `projection` [hidden, fold * fold * tower's hidden] turns into an embedding row."""

    config: SiglipConfig
    tensors: Mapping[str, FloatArray]
    fold: int
    projection: FloatArray

    @property
    def tokens(self) -> int:
        """Rows to a tile."""
        return (self.config.cells // self.fold) ** 2

    def write(self, path: Path, precision: Precision) -> None:
        """Write `path` and `path`_data."""
        with DataFile(Path(f"{path}_data")) as data:
            graph = GraphBuilder("vision_encoder", data, half=precision.half)
            linears = encoder_linears(precision)
            pixels = graph.from_float32(_real_tiles(graph, self.config.side), "half_pixels")
            states = siglip_nodes(graph, pixels, self.config, self.tensors, linears)
            folded = fold_cells(graph, states, self.config.cells, self.fold, self.config.hidden)
            graph.as_float32(linears(graph, folded, self.projection, "connector"), "image_features")
        side = self.config.side
        model = graph.model(
            [
                value("pixel_values", TensorProto.FLOAT, ["batch_size", "num_images", 3, side, side]),
                value("pixel_attention_mask", TensorProto.BOOL, ["batch_size", "num_images", side, side]),
            ],
            [value("image_features", TensorProto.FLOAT, ["tiles", self.tokens, len(self.projection)])],
        )
        write_graph(model, path)


def fold_cells(graph: GraphBuilder, x: str, cells: int, fold: int, width: int) -> str:
    """Cells [n, cells * cells, width] -> tokens [n, (cells / fold) ** 2, fold * fold * width], row by row."""
    kept = cells // fold
    shape = graph.weight("cells", np.array([0, kept, fold, kept, fold, width], np.int64))
    split = graph.node("Reshape", [x, shape], "split_cells")
    gathered = graph.node("Transpose", [split], "gathered_cells", perm=[0, 1, 3, 2, 4, 5])
    folded = graph.weight("folded", np.array([0, kept * kept, fold * fold * width], np.int64))
    return graph.node("Reshape", [gathered, folded], "cells_as_tokens")


def _real_tiles(graph: GraphBuilder, side: int) -> str:
    """The tiles [n, 3, side, side] that are not filling."""
    flat = graph.weight("tile_shape", np.array([-1, 3, side, side], np.int64))
    tiles = graph.node("Reshape", ["pixel_values", flat], "tiles")
    mask_shape = graph.weight("mask_shape", np.array([-1, side * side], np.int64))
    mask = graph.node("Reshape", ["pixel_attention_mask", mask_shape], "flat_mask")
    mask = graph.node("Cast", [mask], "mask_bytes", to=TensorProto.UINT8)
    seen = graph.node("ReduceMax", [mask, graph.weight("mask_axis", np.array([1], np.int64))], "seen", keepdims=0)
    seen = graph.node("Cast", [seen], "is_real", to=TensorProto.BOOL)
    return graph.node("Compress", [tiles, seen], "real_tiles", axis=0)
