"""Makes a decoder easier to round by rows: what a few channels have too much of moves into the matrices behind them.

Products by rows round what they multiply to 8 bits of its largest number, and language models have channels that are
many times as large as the others. Dividing such a channel where it is made, and multiplying the columns that read it,
changes nothing but what is rounded (SmoothQuant, Xiao et al., 2023, with its exponent 1/2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from lorgnette.export.calibration.moments import Moments
from lorgnette.export.llama import FloatArray, LlamaWeights

# What reads the channels of a group: its matrices, and the name of one of them in `decoder_graph`.
_READERS = {
    "attention": (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "qkv"),
    "mlp": (("mlp.gate_proj", "mlp.up_proj"), "gate"),
    "down": (("mlp.down_proj",), "down"),
}
# What makes them: gains of norms, and the rows of a matrix whose product nothing but a factor follows.
_MAKERS = {"input_layernorm": "attention", "post_attention_layernorm": "mlp", "mlp.up_proj": "down"}
_READS = {matrix: group for group, (matrices, _) in _READERS.items() for matrix in matrices}
_NAME = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")


def smoothed(weights: LlamaWeights, moments: Moments) -> LlamaWeights:
    """The same model, with its channels evened out by how large they were in `moments`."""
    return LlamaWeights(weights.config, _SmoothedTensors(weights, moments))


class _SmoothedTensors(Mapping[str, FloatArray]):
    def __init__(self, weights: LlamaWeights, moments: Moments) -> None:
        self._weights, self._moments = weights, moments
        self._known: dict[tuple[int, str], FloatArray] = {}

    def __getitem__(self, name: str) -> FloatArray:
        tensor = self._weights.tensors[name]
        match = _NAME.fullmatch(name)
        if match is None:
            return tensor
        layer, part, kind = int(match[1]), match[2], match[3]
        if part in _MAKERS:
            divisor = self._scales(layer, _MAKERS[part])
            tensor = tensor / (divisor[:, None] if tensor.ndim == 2 else divisor)
        if part in _READS and kind == "weight":
            tensor = tensor * self._scales(layer, _READS[part])
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights.tensors)

    def __len__(self) -> int:
        return len(self._weights.tensors)

    def _scales(self, layer: int, group: str) -> FloatArray:
        """By how much each channel of a group is divided, f32 [channels]; 1 on the geometric mean."""
        if (layer, group) not in self._known:
            matrices, name = _READERS[group]
            seen = self._moments.of(f"layers.{layer}.{name}")
            assert seen is not None, "the moments know every matrix of a layer"
            largest = np.max([np.abs(self._weights.linear(layer, matrix)).max(axis=0) for matrix in matrices], axis=0)
            tiny = np.finfo(np.float32).tiny
            # The root of the moment is the channel's size but for a factor that all have in common.
            logarithms = (np.log(np.diag(seen) + tiny) / 2 - np.log(largest + tiny)) / 2
            self._known[layer, group] = np.exp(logarithms - logarithms.mean()).astype(np.float32)
        return self._known[layer, group]
