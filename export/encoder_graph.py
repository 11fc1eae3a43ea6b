"""EfficientNet-Lite as an ONNX graph, straight from its checkpoint's arrays.

Architecture: M. Tan and Q. Le, EfficientNet (2019), in the Lite form (no squeeze-and-excitation, ReLU6, stem and head
not scaled). Tensor names are those of the PyTorch port the checkpoints come from (`_conv_stem`,
`_blocks.N._expand_conv`, ...). Batch norms (epsilon 1e-3) are folded into their convolutions. The graph stops after
the head convolution with its norm and activation: 1280 channels at 1/32 of the input's side.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Arrays = Mapping[str, npt.NDArray[Any]]

_BN_EPSILON = 1e-3
# The stages (by order of their output widths) whose first block halves the picture: the 2nd, 3rd, 4th and 6th of seven.
_HALVING_STAGES = (1, 2, 3, 5)
OUT_CHANNELS = 1280
STRIDE = 32


class _ConvStack:
    """Collects nodes and initializers; each call appends one convolution with its folded norm."""

    def __init__(self, weights: Arrays) -> None:
        self.weights = weights
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = [
            numpy_helper.from_array(np.array(0.0, np.float32), "relu6_low"),
            numpy_helper.from_array(np.array(6.0, np.float32), "relu6_high"),
        ]

    def conv(self, x: str, conv: str, norm: str, *, stride: int = 1, relu6: bool = True, output: str = "") -> str:
        kernel = self.weights[f"{conv}.weight"]
        scale = self.weights[f"{norm}.weight"] / np.sqrt(self.weights[f"{norm}.running_var"] + _BN_EPSILON)
        bias = self.weights[f"{norm}.bias"] - self.weights[f"{norm}.running_mean"] * scale
        folded = kernel * scale[:, None, None, None]
        self.initializers.append(numpy_helper.from_array(folded.astype(np.float32), f"{conv}.weight"))
        self.initializers.append(numpy_helper.from_array(bias.astype(np.float32), f"{conv}.bias"))
        y = f"{conv}.out" if relu6 or not output else output
        depthwise = kernel.shape[1] == 1
        self.nodes.append(
            helper.make_node(
                "Conv",
                [x, f"{conv}.weight", f"{conv}.bias"],
                [y],
                name=conv,
                strides=[stride, stride],
                auto_pad="SAME_UPPER",  # TensorFlow's padding, which the weights were trained with
                group=kernel.shape[0] if depthwise else 1,
            )
        )
        if not relu6:
            return y
        clipped = output or f"{conv}.relu6"
        self.nodes.append(helper.make_node("Clip", [y, "relu6_low", "relu6_high"], [clipped], name=f"{conv}.clip"))
        return clipped


def encoder_nodes(weights: Arrays, pixels: str, features: str) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes and initializers from `pixels` f32 [B, 3, S, S], (RGB - 127) / 128, to `features` f32 [B, 1280, S/32,
    S/32].

    Raises KeyError where `weights` is not an EfficientNet-Lite state dict.
    """
    stack = _ConvStack(weights)
    x = stack.conv(pixels, "_conv_stem", "_bn0", stride=2)
    width, stage = 0, -1
    for index in itertools.count():
        block = f"_blocks.{index}"
        if f"{block}._project_conv.weight" not in weights:
            break
        out_width = weights[f"{block}._project_conv.weight"].shape[0]
        first = out_width != width
        stage += first
        stride = 2 if first and stage in _HALVING_STAGES else 1
        y = x
        if f"{block}._expand_conv.weight" in weights:
            y = stack.conv(y, f"{block}._expand_conv", f"{block}._bn0")
        y = stack.conv(y, f"{block}._depthwise_conv", f"{block}._bn1", stride=stride)
        y = stack.conv(y, f"{block}._project_conv", f"{block}._bn2", relu6=False)
        if not first:
            stack.nodes.append(helper.make_node("Add", [y, x], [f"{block}.out"], name=f"{block}.add"))
            y = f"{block}.out"
        x, width = y, out_width
    stack.conv(x, "_conv_head", "_bn1", output=features)
    return stack.nodes, stack.initializers


def encoder_model(weights: Arrays, side: int) -> ModelProto:
    """The encoder alone, as a model with input `pixel_values` [B, 3, side, side] and output `features`."""
    nodes, initializers = encoder_nodes(weights, "pixel_values", "features")
    cells = side // STRIDE
    graph = helper.make_graph(
        nodes,
        "efficientnet_lite",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, side, side])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", OUT_CHANNELS, cells, cells])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
