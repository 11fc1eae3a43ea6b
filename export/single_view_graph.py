"""`vision_encoder` of LLaVA models that look at a picture as one view: SigLIP, a perceptron, and a row that ends it.

`pixel_values` f32 [B, 3, side, side] -> `image_features` f32 [B, tokens, hidden].
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
class SingleView:
    """A tower with its `tensors`; the projector's `linear_1` and `linear_2`, each with `.weight` and perhaps `.bias`,
    and GELU between them, by its tangent or not; `newline` [hidden] comes after the cells' rows."""

    config: SiglipConfig
    tensors: Mapping[str, FloatArray]
    projector: Mapping[str, FloatArray]
    tangent: bool
    newline: FloatArray

    @property
    def tokens(self) -> int:
        return self.config.cells**2 + 1

    def write(self, path: Path, precision: Precision) -> None:
        """Write `path` and `path`_data."""
        side, hidden = self.config.side, len(self.newline)
        with DataFile(Path(f"{path}_data")) as data:
            graph = GraphBuilder("vision_encoder", data, half=precision.half)
            linears = encoder_linears(precision)

            def linear(x: str, name: str) -> str:
                weight, bias = self.projector[f"{name}.weight"], self.projector.get(f"{name}.bias")
                return linears(graph, x, weight, f"projector.{name}", bias)

            pixels = graph.from_float32("pixel_values", "half_pixels")
            states = siglip_nodes(graph, pixels, self.config, self.tensors, linears)
            kind = "tanh" if self.tangent else "none"
            active = graph.node("Gelu", [linear(states, "linear_1")], "projector.active", approximate=kind)
            rows = linear(active, "linear_2")
            batch = graph.node("Shape", [rows], "batch", start=0, end=1)
            one_row = graph.weight("one_row", np.array([1, hidden], np.int64))
            shape = graph.node("Concat", [batch, one_row], "newline_shape", axis=0)
            newline = graph.node("Expand", [graph.weight("newline", self.newline), shape], "newlines")
            graph.as_float32(graph.node("Concat", [rows, newline], "rows", axis=1), "image_features")
        model = graph.model(
            [value("pixel_values", TensorProto.FLOAT, ["batch_size", 3, side, side])],
            [value("image_features", TensorProto.FLOAT, ["batch_size", self.tokens, hidden])],
        )
        write_graph(model, path)
