"""Networks with the signatures of the text detector and recogniser that read grey rectangles: each grey is a word."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lorgnette.device.frame import Frame
from lorgnette.vision.text_reader import DETECTION, RECOGNITION

GREYS = {"EXIT": 0, "Espresso": 38, "2.50": 76, "push-": 115}
_HEIGHT, _COLUMN = 48, 8


def write_networks(folder: Path) -> Path:
    """Writes both networks into `folder` and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_detector(), folder / DETECTION)
    onnx.save(_recognizer(), folder / RECOGNITION)
    return folder


def draw(words: list[tuple[str, int, int, int, int]], width: int = 640, height: int = 480) -> Frame:
    """A white picture with each word at (left, top, width, height) as a rectangle of its grey."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    for word, left, top, wide, high in words:
        cv2.rectangle(pixels, (left, top), (left + wide - 1, top + high - 1), (GREYS[word],) * 3, cv2.FILLED)
    return Frame(pixels)


def _detector() -> onnx.ModelProto:
    """Darkness as the probability of text."""
    half = numpy_helper.from_array(np.float32(-0.5), "half")
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["grey", "half"], ["darkness"]),
        helper.make_node("Sub", ["darkness", "half"], ["probabilities"]),
    ]
    return _model(nodes, ["N", 3, "H", "W"], ["N", 1, "H", "W"], "probabilities", [half])


def _recognizer() -> onnx.ModelProto:
    """The darkest grey of each eighth column of pixels, halfway up, as the class with the nearest grey."""
    greys = [255.0, *(float(grey) for grey in GREYS.values()), -1000.0]  # blank, words, space
    levels = np.array(greys, np.float32) / np.float32(127.5) - 1
    constants = {
        "levels": levels.reshape(1, 1, -1),
        "sharpness": np.float32(-200.0),
        "first": np.array([_HEIGHT // 2 - 4]),
        "last": np.array([_HEIGHT // 2 + 4]),
        "rows": np.array([2]),
        "shape": np.array([0, -1, 1]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Slice", ["grey", "first", "last", "rows"], ["middle"]),
        helper.make_node("ReduceMean", ["middle"], ["row"], axes=[2], keepdims=1),
        helper.make_node("Neg", ["row"], ["darkness"]),
        helper.make_node("MaxPool", ["darkness"], ["darkest"], kernel_shape=[1, _COLUMN], strides=[1, _COLUMN]),
        helper.make_node("Neg", ["darkest"], ["columns"]),
        helper.make_node("Reshape", ["columns", "shape"], ["sequence"]),
        helper.make_node("Sub", ["sequence", "levels"], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["squared"]),
        helper.make_node("Mul", ["squared", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=2),
    ]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = _model(nodes, ["N", 3, _HEIGHT, "W"], ["N", "T", len(greys)], "probabilities", initializers)
    helper.set_model_props(model, {"character": "\n".join(GREYS)})
    return model


def _model(
    nodes: list[onnx.NodeProto],
    input_shape: list[int | str],
    output_shape: list[int | str],
    output: str,
    initializers: list[onnx.TensorProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, output_shape)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
