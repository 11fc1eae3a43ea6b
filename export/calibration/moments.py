"""The second moments of what each matrix of a decoder multiplies, over texts that run through its fp32 session."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from lorgnette.device.session import OnnxSession
from lorgnette.export.llama import FloatArray, LlamaConfig
from lorgnette.export.whole_prompt import whole_prompt

# Which intermediate value of a layer each of its matrices multiplies, by their names in `decoder_graph`.
_INPUT_OF = {"qkv": "input_norm", "o": "attention", "gate": "post_norm", "up": "post_norm", "down": "product"}
_MEMORY = 512e6  # bytes of moments that are held at a time
_NAME = re.compile(r"layers\.(\d+)\.(\w+)")


class Moments:
    """Computed for a few layers at a time, as many as the memory allows: asking for them in order runs the texts once
    for each such group. `texts` are embedding rows f32 [S, hidden]; `decoder` is the fp32 session's file."""

    def __init__(self, decoder: Path, config: LlamaConfig, texts: Sequence[FloatArray]) -> None:
        self._decoder, self._config, self._texts = decoder, config, texts
        width = config.heads * config.head_dim
        layer_bytes = 4 * (2 * config.hidden**2 + width**2 + config.intermediate**2)
        self._at_once = max(1, int(_MEMORY // layer_bytes))
        self._known: dict[str, FloatArray] = {}

    def of(self, matrix: str) -> FloatArray | None:
        """The sum of x x^T [inputs, inputs] for the matrix called so in the graph; None for one that is in no layer."""
        match = _NAME.fullmatch(matrix)
        if match is None or match[2] not in _INPUT_OF:
            return None
        name = f"layers.{match[1]}.{_INPUT_OF[match[2]]}"
        if name not in self._known:
            first = int(match[1]) // self._at_once * self._at_once
            self._known = self._measure(range(first, min(first + self._at_once, self._config.layers)))
        return self._known[name]

    def _measure(self, layers: range) -> dict[str, FloatArray]:
        names = [f"layers.{layer}.{value}" for layer in layers for value in dict.fromkeys(_INPUT_OF.values())]
        session = self._tapped(names)
        sums: dict[str, FloatArray] = {}
        for rows in self._texts:
            feeds = whole_prompt(session, rows)
            for name, value in zip(names, session.raw.run(names, feeds), strict=True):
                x = value[0]
                sums[name] = sums[name] + x.T @ x if name in sums else x.T @ x
        return sums

    def _tapped(self, names: Sequence[str]) -> OnnxSession:
        """The session with these intermediate values as outputs too."""
        model = onnx.load(self._decoder, load_external_data=False)
        for name in names:
            model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        tapped = self._decoder.with_name("tapped.onnx")
        tapped.write_bytes(model.SerializeToString())
        try:
            return OnnxSession(tapped)
        finally:
            tapped.unlink()
