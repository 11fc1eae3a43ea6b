"""`vision_encoder` of the embedded model: EfficientNet-Lite and the trained connector in one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from lorgnette.export.encoder_graph import STRIDE, channels, encoder_nodes
from lorgnette.export.graph_builder import GraphBuilder, value, write_graph
from lorgnette.export.llama import FloatArray, WeightsFormatError
from lorgnette.export.precision import Precision
from lorgnette.export.tiled_vision_graph import fold_cells

_FOLD = 2  # cells of 2 x 2 are looked at together


@dataclass(frozen=True, slots=True)
class EmbeddedVision:
    """The arrays of an EfficientNet-Lite and of the connector; pictures are square, of `side` pixels."""

    encoder: Mapping[str, npt.NDArray[Any]]
    connector: Mapping[str, FloatArray]
    side: int

    @property
    def tokens(self) -> int:
        return len(self.connector["pos"])

    def write(self, path: Path, precision: Precision) -> None:
        """Write `pixel_values` f32 [B, 3, side, side] -> `image_features` f32 [B, tokens, hidden].

        Raises `WeightsFormatError` if the encoder's arrays are not an EfficientNet-Lite or the connector does not fit.
        """
        if precision.name != "fp32":
            raise WeightsFormatError("the embedded model's image encoder is there in fp32 alone")
        _write(self.encoder, self.connector, self.side, path)


def _write(encoder: Mapping[str, npt.NDArray[Any]], connector: Mapping[str, FloatArray], side: int, path: Path) -> None:
    cells = side // STRIDE
    tokens, hidden = connector["pos"].shape
    if cells * cells != tokens:
        raise WeightsFormatError(f"a picture of {side} pixels gives {cells * cells} tokens, the connector has {tokens}")
    graph = GraphBuilder("vision_encoder")
    try:
        known, wanted = channels(encoder), connector["red.weight"].shape[1]
        if known != wanted:
            raise WeightsFormatError(
                f"the encoder describes a cell by {known} numbers, the connector takes {wanted}",
                "give an adapter that this version's training made",
            )
        graph.adopt(*encoder_nodes(encoder, "pixel_values", "features"))
    except KeyError as error:
        raise WeightsFormatError(f"the image encoder lacks {error.args[0]}", "fetch the file again") from error

    def product(x: str, name: str) -> str:
        matrix = graph.weight(f"{name}.weight", np.ascontiguousarray(connector[f"{name}.weight"].T))
        return graph.node("MatMul", [x, matrix], f"{name}.product")

    def linear(x: str, name: str, output: str) -> str:
        bias = graph.weight(f"{name}.bias", connector[f"{name}.bias"])
        return graph.node("Add", [product(x, name), bias], output)

    def shaped(x: str, shape: Sequence[int], output: str) -> str:
        return graph.node("Reshape", [x, graph.weight(f"{output}.shape", np.array([0, *shape], np.int64))], output)

    width, inner, half = connector["red.weight"].shape[0], len(connector["f1.weight"]), cells // _FOLD
    x = graph.node("Transpose", ["features"], "channels_last", perm=[0, 2, 3, 1])
    x = fold_cells(graph, linear(x, "red", "reduced"), cells, _FOLD, width)
    gains = [graph.weight(f"ln.{part}", connector[f"ln.{part}"]) for part in ("weight", "bias")]
    x = graph.node("LayerNormalization", [x, *gains], "normed", axis=-1, epsilon=1e-5)
    block = shaped(linear(x, "f1", "block"), [half, 1, half, 1, inner], "for_each_cell")
    x = shaped(x, [half, half, _FOLD, _FOLD, width], "normed_cells")
    own = graph.node("Transpose", [x], "own", perm=[0, 1, 3, 2, 4, 5])  # by rows and columns of cells again
    x = shaped(graph.node("Add", [block, product(own, "own")], "wide_cells"), [tokens, inner], "wide")
    x = graph.node("Gelu", [x], "active", approximate="none")
    x = graph.node("LpNormalization", [linear(x, "f2", "projected")], "unit", axis=-1, p=2)
    length = np.asarray(connector["g"] * np.sqrt(np.float32(hidden)), np.float32)
    x = graph.node("Mul", [x, graph.weight("length", length)], "scaled")
    graph.node("Add", [x, graph.weight("position", connector["pos"])], "image_features")
    model = graph.model(
        [value("pixel_values", TensorProto.FLOAT, ["batch_size", 3, side, side])],
        [value("image_features", TensorProto.FLOAT, ["batch_size", tokens, hidden])],
    )
    write_graph(model, path)
