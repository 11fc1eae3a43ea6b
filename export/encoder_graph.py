"""What the embedded model sees of a picture before anything is trained: EfficientNet-Lite, and colours, as ONNX.

Each of the picture's cells (32 x 32 pixels) is described by channels side by side: what the network recognises there
(1280), what an earlier stage of it sees in the cell's four quarters (shapes and small things; 4 x 120), and how much of
each of a few named colours each quarter holds (a network trained on names of objects forgets most colours; 4 x 18).

Architecture: M. Tan and Q. Le, EfficientNet (2019), in the Lite form (no squeeze-and-excitation, ReLU6, stem and head
not scaled). Tensor names are those of the PyTorch port the checkpoints come from (`_conv_stem`,
`_blocks.N._expand_conv`, ...). Batch norms (epsilon 1e-3) are folded into their convolutions. The graph stops after
the head convolution with its norm and activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Arrays = Mapping[str, npt.NDArray[Any]]

BN_EPSILON = 1e-3
# The stages (by order of their output widths) whose first block halves the picture: the 2nd, 3rd, 4th and 6th of seven.
_HALVING_STAGES = (1, 2, 3, 5)
FINE_STAGE = 4  # the last at 1/16 of the picture's side
STRIDE = 32

# Middles of the colours that people name, in RGB from 0 to 1; a pixel is shared among the nearest (softmax over squared
# distances divided by _COLOUR_SPREAD).
COLOURS = {
    "black": (0.04, 0.04, 0.04),
    "charcoal": (0.22, 0.22, 0.23),
    "grey": (0.48, 0.48, 0.49),
    "silver": (0.74, 0.75, 0.77),
    "white": (0.96, 0.96, 0.96),
    "red": (0.82, 0.12, 0.14),
    "maroon": (0.42, 0.08, 0.10),
    "orange": (0.92, 0.48, 0.12),
    "yellow": (0.93, 0.84, 0.20),
    "tan": (0.78, 0.66, 0.50),
    "brown": (0.42, 0.28, 0.16),
    "skin": (0.85, 0.62, 0.52),
    "lime": (0.52, 0.68, 0.22),
    "green": (0.16, 0.42, 0.16),
    "sky": (0.48, 0.70, 0.90),
    "blue": (0.14, 0.30, 0.68),
    "navy": (0.09, 0.12, 0.32),
    "pink": (0.90, 0.45, 0.62),
}
_COLOUR_SPREAD = 0.05
COLOUR_SIZE = 6.0  # brings the shares to the size of the other channels
COLOUR_POOL = 4  # pixels along a side that are averaged before they are named
FOLD = 2  # quarters along a cell's side
FINE_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution without bias and the batch norm behind it, by their names in the checkpoint."""

    name: str
    norm_name: str
    stride: int = 1
    relu6: bool = True


STEM = Convolution("_conv_stem", "_bn0", stride=2)
HEAD = Convolution("_conv_head", "_bn1")


@dataclass(frozen=True, slots=True)
class Block:
    """An inverted residual block of the `stage`-th stage."""

    name: str
    stage: int
    convolutions: tuple[Convolution, ...]
    residual: bool


def blocks(weights: Arrays) -> list[Block]:
    """The blocks between stem and head. Raises KeyError where `weights` is not an EfficientNet-Lite state dict."""
    found: list[Block] = []
    width = 0
    while f"_blocks.{len(found)}._project_conv.weight" in weights:
        name = f"_blocks.{len(found)}"
        out_width = int(weights[f"{name}._project_conv.weight"].shape[0])
        first = out_width != width
        stage = found[-1].stage + first if found else 0
        stride = 2 if first and stage in _HALVING_STAGES else 1
        expand = Convolution(f"{name}._expand_conv", f"{name}._bn0")
        depthwise = Convolution(f"{name}._depthwise_conv", f"{name}._bn1", stride)
        project = Convolution(f"{name}._project_conv", f"{name}._bn2", relu6=False)
        steps = (expand, depthwise, project) if f"{expand.name}.weight" in weights else (depthwise, project)
        found.append(Block(name, stage, steps, not first))
        width = out_width
    return found


def colour_kernel() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weight [colours, 3, 1, 1] and bias [colours] whose softmax shares a normalised pixel among `COLOURS`."""
    middles = np.array(list(COLOURS.values()), np.float32)
    # -|x - m|^2 / spread is, but for a term without m, linear in x = (128 p + 127) / 255 with p the normalised pixel.
    kernel = 2 * middles * (128 / 255) / _COLOUR_SPREAD
    bias = (2 * middles * (127 / 255) - middles**2).sum(1) / _COLOUR_SPREAD
    return kernel[:, :, None, None].astype(np.float32), bias.astype(np.float32)


def channels(weights: Arrays) -> int:
    """How many channels describe a cell."""
    return int(weights["_conv_head.weight"].shape[0]) + FOLD**2 * (_fine_width(weights) + len(COLOURS))


class _ConvStack:
    """Collects nodes and initializers; each call appends one convolution with its folded norm."""

    def __init__(self, weights: Arrays) -> None:
        self.weights = weights
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = [
            numpy_helper.from_array(np.array(0.0, np.float32), "relu6_low"),
            numpy_helper.from_array(np.array(6.0, np.float32), "relu6_high"),
        ]

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, array: npt.NDArray[Any] | np.generic) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def conv(self, x: str, convolution: Convolution, output: str = "") -> str:
        conv, norm = convolution.name, convolution.norm_name
        kernel = self.weights[f"{conv}.weight"]
        scale = self.weights[f"{norm}.weight"] / np.sqrt(self.weights[f"{norm}.running_var"] + BN_EPSILON)
        bias = self.weights[f"{norm}.bias"] - self.weights[f"{norm}.running_mean"] * scale
        folded = kernel * scale[:, None, None, None]
        self.initializers.append(numpy_helper.from_array(folded.astype(np.float32), f"{conv}.weight"))
        self.initializers.append(numpy_helper.from_array(bias.astype(np.float32), f"{conv}.bias"))
        y = f"{conv}.out"
        depthwise = kernel.shape[1] == 1
        self.nodes.append(
            helper.make_node(
                "Conv",
                [x, f"{conv}.weight", f"{conv}.bias"],
                [y],
                name=conv,
                strides=[convolution.stride] * 2,
                auto_pad="SAME_UPPER",  # TensorFlow's padding, which the weights were trained with
                group=kernel.shape[0] if depthwise else 1,
            )
        )
        if not convolution.relu6:
            return y
        clipped = output or f"{conv}.relu6"
        self.nodes.append(helper.make_node("Clip", [y, "relu6_low", "relu6_high"], [clipped], name=f"{conv}.clip"))
        return clipped


def encoder_nodes(weights: Arrays, pixels: str, features: str) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes and initializers from `pixels` f32 [B, 3, S, S], (RGB - 127) / 128, to `features` f32 [B, channels, S/32,
    S/32].

    Raises KeyError where `weights` is not an EfficientNet-Lite state dict.
    """
    stack = _ConvStack(weights)
    fine = _network(stack, pixels, "recognised")
    _quarters(stack, _unit_variance(stack, fine), "fine")
    _quarters(stack, _named_colours(stack, pixels), "colours")
    stack.node("Concat", ["recognised", "fine", "colours"], features, axis=1)
    return stack.nodes, stack.initializers


def _network(stack: _ConvStack, pixels: str, output: str) -> str:
    """The whole EfficientNet-Lite; returns the name of the fine stage's result."""
    fine = ""
    x = stack.conv(pixels, STEM)
    for block in blocks(stack.weights):
        y = x
        for convolution in block.convolutions:
            y = stack.conv(y, convolution)
        x = stack.node("Add", [y, x], f"{block.name}.out") if block.residual else y
        if block.stage == FINE_STAGE:
            fine = x
    stack.conv(x, HEAD, output)
    return fine


def _fine_width(weights: Arrays) -> int:
    name = next(block.name for block in blocks(weights) if block.stage == FINE_STAGE)
    return int(weights[f"{name}._project_conv.weight"].shape[0])


def _unit_variance(stack: _ConvStack, x: str) -> str:
    """Divide by the root mean square over channels, so that linear outputs of any size meet the others as equals."""
    square = stack.node("Mul", [x, x], "fine_square")
    mean = stack.node("ReduceMean", [square, stack.constant("channel_axis", np.array([1], np.int64))], "fine_mean")
    epsilon = stack.constant("fine_epsilon", np.float32(FINE_EPSILON))
    root = stack.node("Sqrt", [stack.node("Add", [mean, epsilon], "fine_ms")], "fine_rms")
    return stack.node("Div", [x, root], "fine_unit")


def _named_colours(stack: _ConvStack, pixels: str) -> str:
    """The share of each colour in each quarter of a cell: [B, colours, S/16, S/16]."""
    kernel, bias = colour_kernel()
    size = [COLOUR_POOL, COLOUR_POOL]
    x = stack.node("AveragePool", [pixels], "pooled_pixels", kernel_shape=size, strides=size)
    operands = [x, stack.constant("colour.weight", kernel), stack.constant("colour.bias", bias)]
    x = stack.node("Softmax", [stack.node("Conv", operands, "colour_scores")], "colour_shares", axis=1)
    size = [STRIDE // FOLD // COLOUR_POOL] * 2
    shares = stack.node("AveragePool", [x], "colour_quarters", kernel_shape=size, strides=size)
    return stack.node("Mul", [shares, stack.constant("colour_size", np.float32(COLOUR_SIZE))], "sized_colours")


def _quarters(stack: _ConvStack, x: str, output: str) -> None:
    """[B, C, 2 h, 2 w] -> [B, 4 C, h, w]."""
    stack.node("SpaceToDepth", [x], output, blocksize=FOLD)


def encoder_model(weights: Arrays, side: int) -> ModelProto:
    """The encoder alone, as a model with input `pixel_values` [B, 3, side, side] and output `features`."""
    nodes, initializers = encoder_nodes(weights, "pixel_values", "features")
    cells = side // STRIDE
    graph = helper.make_graph(
        nodes,
        "efficientnet_lite",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, side, side])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", channels(weights), cells, cells])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
