"""The image encoder with its connector in one graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lorgnette.device.session import OnnxSession
from lorgnette.export.assembly import Assembly
from lorgnette.export.encoder_graph import encoder_nodes
from lorgnette.export.graph_builder import GraphBuilder, value
from lorgnette.export.llama import FloatArray, WeightsFormatError
from lorgnette.export.precision import PRECISIONS

FP32 = PRECISIONS["fp32"]


def features_of(model: Assembly, pixels: FloatArray, path: Path) -> FloatArray:
    """The encoder alone: [B, C, cells, cells]."""
    graph = GraphBuilder("encoder")
    graph.adopt(*encoder_nodes(model.vision.encoder, "pixel_values", "features"))
    onnx_model = graph.model(
        [value("pixel_values", 1, list(pixels.shape))], [value("features", 1, ["b", "c", "h", "w"])]
    )
    path.write_bytes(onnx_model.SerializeToString())
    return np.asarray(OnnxSession(path).run({"pixel_values": pixels})["features"])


def connect(con: Mapping[str, FloatArray], features: FloatArray) -> FloatArray:
    """The recipe's connector, cell by cell."""
    from math import erf

    batch, _, side, _ = features.shape
    reduced = np.einsum("bchw,oc->bhwo", features, con["red.weight"]) + con["red.bias"]
    width = reduced.shape[-1]
    tokens = []
    for row in range(side):
        for column in range(side):
            top, left = row // 2 * 2, column // 2 * 2
            block = [reduced[:, top + dy, left + dx] for dy in (0, 1) for dx in (0, 1)]
            x = np.concatenate(block, axis=-1)
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
            x = x * con["ln.weight"] + con["ln.bias"]
            place = 2 * (row - top) + column - left
            own = x[:, place * width : (place + 1) * width] @ con["own.weight"].T
            x = x @ con["f1.weight"].T + con["f1.bias"] + own
            x = x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))
            x = x @ con["f2.weight"].T + con["f2.bias"]
            x = x / np.linalg.norm(x, axis=-1, keepdims=True)
            tokens.append(x * np.sqrt(x.shape[-1]) * con["g"] + con["pos"][len(tokens)])
    assert len(tokens) == len(con["pos"]) and batch == len(features)
    return np.stack(tokens, axis=1).astype(np.float32)


def test_connector_follows_the_recipe(tiny: Assembly, tiny_folder: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).standard_normal((2, 3, 128, 128)).astype(np.float32)
    session = OnnxSession(tiny_folder / "onnx" / "vision_encoder.onnx")
    actual = session.run({"pixel_values": pixels})["image_features"]
    expected = connect(tiny.vision.connector, features_of(tiny, pixels, tmp_path / "encoder.onnx"))
    assert actual.shape == (2, 16, 64)
    np.testing.assert_allclose(actual, expected, atol=1e-4)
    assert np.abs(actual[0] - actual[1]).max() > 0.01


@pytest.mark.torch
def test_connector_equals_the_one_that_is_trained(tiny: Assembly, tiny_folder: Path) -> None:
    """The graph against the training's own module, at the real sizes."""
    torch = pytest.importorskip("torch")
    from lorgnette.export.train.connector import Connector

    torch.manual_seed(0)
    module = Connector(576, 1280)
    con = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    con["pos"] = 0.1 * np.random.default_rng(1).standard_normal((100, 576), dtype=np.float32)
    module.pos.data = torch.from_numpy(con["pos"])
    features = np.random.default_rng(2).standard_normal((2, 1280, 10, 10)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(features).flatten(2).transpose(1, 2)).numpy()
    np.testing.assert_allclose(connect(con, features), expected, atol=1e-4)


def test_parts_that_do_not_fit(tiny: Assembly, tmp_path: Path) -> None:
    with pytest.raises(WeightsFormatError, match="36 tokens, the connector has 16"):
        replace(tiny.vision, side=192).write(tmp_path / "v.onnx", FP32)
    damaged = {name: array for name, array in tiny.vision.encoder.items() if not name.startswith("_conv_head")}
    with pytest.raises(WeightsFormatError, match="lacks _conv_head"):
        replace(tiny.vision, encoder=damaged).write(tmp_path / "v.onnx", FP32)
    with pytest.raises(WeightsFormatError, match="fp32 alone"):
        tiny.vision.write(tmp_path / "v.onnx", PRECISIONS["int8"])
