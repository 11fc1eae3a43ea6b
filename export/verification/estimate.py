"""How fast a bundle would be on a device that is not here, from its operations and bytes (a roofline).

S. Williams et al., "Roofline: An Insightful Visual Performance Model" (2009). A picture's encoding and a prompt are
bound by arithmetic, decoding by reading the weights once for each token. The profile says what the device reaches of
both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import onnx

from lorgnette.export.profile import Device
from lorgnette.llm.bundle import ModelBundle

_PROMPT_TOKENS = 20  # of a question and what stands around it


@dataclass(frozen=True, slots=True)
class Work:
    """Multiply-adds x 2 of one tile through the image encoder and of one token through the decoder; bytes that a token
    reads."""

    tile_flop: float
    token_flop: float
    token_bytes: float


def work_of(bundle: ModelBundle) -> Work:
    """Counted from the default sessions' matrices."""
    decoder = bundle.path("decoder_model_merged")
    token = 2.0 * _weights(decoder)
    tile = 0.0
    if bundle.preprocessing is not None:
        session = bundle.path("vision_encoder")
        # Each weight of a transformer is used once for each patch; tokens fold several patches into one.
        tile = 2.0 * _weights(session) * _patches(session)
    return Work(tile, token, _bytes(decoder))


def estimate(bundle: ModelBundle, device: Device) -> tuple[float, float]:
    """Seconds to the first token with one tile, and tokens a second after it."""
    work = work_of(bundle)
    prompt = bundle.prompt.tokens_per_image + _PROMPT_TOKENS
    flop = work.tile_flop + prompt * work.token_flop
    return flop / (device.gflops * 1e9), device.bandwidth_gbs * 1e9 / work.token_bytes


def _weights(session: Path) -> float:
    """Numbers in the matrices that products are made with."""
    graph = onnx.load(session, load_external_data=False).graph
    sizes = {tensor.name: float(math.prod(tensor.dims)) for tensor in graph.initializer}
    total = 0.0
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            attributes = {one.name: one.i for one in node.attribute}
            total += attributes["K"] * attributes["N"]
        elif node.op_type in ("MatMul", "Gemm", "DynamicQuantizeMatMul", "Conv"):
            total += sizes.get(node.input[1], 0.0)
    return total


def _bytes(session: Path) -> float:
    """Of all tensors outside the graph, wherever they lie: a head that shares the embedding's table reads that."""
    graph = onnx.load(session, load_external_data=False).graph
    lengths = [one.value for tensor in graph.initializer for one in tensor.external_data if one.key == "length"]
    return float(sum(map(int, lengths)))


def _patches(session: Path) -> int:
    """Places that a vision session's weights are used at: the length of its table of positions, else 1."""
    graph = onnx.load(session, load_external_data=False).graph
    return next((int(one.dims[0]) for one in graph.initializer if one.name == "vision.positions"), 1)
