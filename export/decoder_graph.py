"""`decoder_model_merged`: the language model's blocks as an ONNX graph of ONNX Runtime's fused operators.

Inputs `inputs_embeds` f32 [B, S, H], `attention_mask` i64 [B, past + S], `position_ids` i64 [B, S] and
`past_key_values.N.{key,value}` f32 [B, kv_heads, past, head_dim]; outputs `logits` and `present.N.{key,value}`.

Narrower than the layout's table in three ways, which is what makes it fast: `logits` is [B, 1, V], of the last position
only; a mask may only leave out positions at the end of a row (attention takes a length, no mask); positions count up by
one within a row, from any start. A second prefill onto a cache needs B = 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, ValueInfoProto

from lorgnette.export.block_quantization import BlockQuantized, quantize
from lorgnette.export.embedding_graph import FloatTable, QuantizedTable
from lorgnette.export.graph_builder import DataFile, GraphBuilder, value
from lorgnette.export.llama import FloatArray, LlamaConfig, LlamaWeights

# Activations are rounded to 8 bits too and products are summed as integers: twice the speed of float on any CPU with a
# dot-product instruction, at a cost in accuracy that the manifest reports.
_INTEGER_ACCURACY = 4
# Twice the table's block: 6 % fewer bytes and 8 % less time a token than 32, for .0041 instead of .0026 of mean KL.
_LINEAR_BLOCK = 64


class DecoderWriter:
    """Emits one decoder. The type of `table` decides the precision of all matrices: fp32 or 8-bit blocks."""

    def __init__(self, weights: LlamaWeights, table: FloatTable | QuantizedTable, data: DataFile) -> None:
        self._weights = weights
        self._config = weights.config
        self._table = table
        self._graph = GraphBuilder("decoder_model_merged", data)
        self._hidden, self._update = self._blocks()
        self._final_gain = self._graph.weight("final_norm.weight", weights.tensors["model.norm.weight"])

    def write(self, path: Path, *, every_position: bool = False) -> None:
        """Write the graph to `path`. `every_position` keeps the logits of all S positions, for measuring."""
        config, graph = self._config, self._graph.branch()
        hidden, update = self._hidden, self._update
        if not every_position:
            hidden, update = _last(graph, hidden, "last_hidden"), _last(graph, update, "last_update")
        normed = _add_and_norm(graph, hidden, update, self._final_gain, "final_norm", config.norm_epsilon)
        self._head(graph, normed)
        positions: str | int = "sequence_length" if every_position else 1
        logits = value("logits", TensorProto.FLOAT, ["batch_size", positions, config.vocabulary])
        inputs = [
            value("inputs_embeds", TensorProto.FLOAT, ["batch_size", "sequence_length", config.hidden]),
            value("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"]),
            value("position_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
        ]
        model = graph.model(
            inputs + _cache(config, "past_key_values", "past_sequence_length"),
            [logits, *_cache(config, "present", "total_sequence_length")],
        )
        path.write_bytes(model.SerializeToString(deterministic=True))

    def _blocks(self) -> tuple[str, str]:
        """Emit all layers; returns the residual stream and the last layer's contribution, still to be added."""
        self._add_lengths()
        self._add_rotary()
        graph, epsilon = self._graph, self._config.norm_epsilon
        hidden, update = "inputs_embeds", ""
        for layer in range(self._config.layers):
            name = f"layers.{layer}"
            gain = graph.weight(f"{name}.input_norm.weight", self._weights.norm(layer, "input_layernorm"))
            if update:
                normed = _add_and_norm(graph, hidden, update, gain, f"{name}.input_norm", epsilon)
                hidden = f"{name}.input_norm.sum"
            else:
                operands, label = [hidden, gain], f"{name}.input_norm"
                normed = graph.node("SimplifiedLayerNormalization", operands, label, epsilon=epsilon, axis=-1)
            attended = self._attention(layer, normed)
            gain = graph.weight(f"{name}.post_norm.weight", self._weights.norm(layer, "post_attention_layernorm"))
            normed = _add_and_norm(graph, hidden, attended, gain, f"{name}.post_norm", epsilon)
            hidden, update = f"{name}.post_norm.sum", self._mlp(layer, normed)
        return hidden, update

    def _add_lengths(self) -> None:
        """`lengths` i32 [B]: last valid index of each row; `total` i32 []: length of the longest."""
        graph = self._graph
        axis = graph.weight("axis_1", np.array([1], np.int64))
        count = graph.node("ReduceSum", ["attention_mask", axis], "mask_count", keepdims=0)
        last = graph.node("Sub", [count, graph.weight("one", np.array(1, np.int64))], "mask_last")
        graph.node("Cast", [last], "lengths", to=TensorProto.INT32)
        shape = graph.node("Shape", ["attention_mask"], "mask_shape")
        total = graph.node("Gather", [shape, graph.weight("index_1", np.array(1, np.int64))], "mask_total")
        graph.node("Cast", [total], "total", to=TensorProto.INT32)

    def _add_rotary(self) -> None:
        cos, sin = rotary_tables(self._config)
        self._graph.weight("cos_cache", cos)
        self._graph.weight("sin_cache", sin)

    def _attention(self, layer: int, x: str) -> str:
        config, name = self._config, f"layers.{layer}"
        matrices = [self._weights.linear(layer, f"self_attn.{part}_proj") for part in "qkv"]
        packed = self._linear(x, np.concatenate(matrices), f"{name}.qkv")
        past = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
        present = [f"present.{layer}.{kind}" for kind in ("key", "value")]
        attended = self._graph.contrib(
            "GroupQueryAttention",
            [packed, "", "", *past, "lengths", "total", "cos_cache", "sin_cache", "position_ids"],
            f"{name}.attention",
            outputs=[f"{name}.attention", *present],
            num_heads=config.heads,
            kv_num_heads=config.kv_heads,
            scale=float(config.head_dim) ** -0.5,
            do_rotary=1,
            rotary_interleaved=0,
        )
        return self._linear(attended, self._weights.linear(layer, "self_attn.o_proj"), f"{name}.o")

    def _mlp(self, layer: int, x: str) -> str:
        name, graph = f"layers.{layer}", self._graph
        gate = self._linear(x, self._weights.linear(layer, "mlp.gate_proj"), f"{name}.gate")
        up = self._linear(x, self._weights.linear(layer, "mlp.up_proj"), f"{name}.up")
        active = graph.contrib("QuickGelu", [gate], f"{name}.silu", alpha=1.0)  # x sigmoid(x)
        product = graph.node("Mul", [active, up], f"{name}.product")
        return self._linear(product, self._weights.linear(layer, "mlp.down_proj"), f"{name}.down")

    def _linear(self, x: str, matrix: FloatArray, name: str) -> str:
        if isinstance(self._table, FloatTable):
            weight = self._graph.weight(f"{name}.weight", np.ascontiguousarray(matrix.T))
            return self._graph.node("MatMul", [x, weight], name)
        blocks = quantize(matrix, _LINEAR_BLOCK if matrix.shape[1] % _LINEAR_BLOCK == 0 else 32)
        data = self._graph.weight(f"{name}.data", _as_blocks(blocks))
        scales = self._graph.weight(f"{name}.scales", blocks.scales)
        return _quantized_product(self._graph, x, data, scales, blocks, name)

    def _head(self, graph: GraphBuilder, x: str) -> None:
        if isinstance(self._table, FloatTable):
            # The head shares the table's bytes, which lie [vocabulary, hidden]: Gemm reads them transposed, in 2-D.
            weight = graph.weight("head.weight", self._table.array, self._table.place)
            shape = graph.weight("rows", np.array([-1, self._config.hidden], np.int64))
            rows = graph.node("Reshape", [x, shape], "head_rows")
            flat = graph.node("Gemm", [rows, weight], "head", transB=1)
            leading = graph.node("Shape", [x], "head_leading", end=2)
            tail = graph.weight("vocabulary", np.array([self._config.vocabulary], np.int64))
            full = graph.node("Concat", [leading, tail], "head_shape", axis=0)
            graph.node("Reshape", [flat, full], "logits")
            return
        blocks = self._table.blocks
        data = graph.weight("head.data", _as_blocks(blocks), self._table.data_place)
        scales = graph.weight("head.scales", blocks.scales, self._table.scales_place)
        _quantized_product(graph, x, data, scales, blocks, "logits")


def rotary_tables(config: LlamaConfig) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines [context, head_dim / 2] of position * theta ** (-2 i / head_dim) (RoFormer, 2021)."""
    frequencies = config.rope_theta ** (-np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim)
    angles = np.arange(config.context, dtype=np.float64)[:, None] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _add_and_norm(graph: GraphBuilder, hidden: str, update: str, gain: str, name: str, epsilon: float) -> str:
    """Normalise `hidden` + `update`; the sum, which is the new residual stream, is called `name`.sum."""
    outputs = [name, "", "", f"{name}.sum"]
    return graph.contrib(
        "SkipSimplifiedLayerNormalization", [hidden, update, gain], name, outputs=outputs, epsilon=epsilon
    )


def _last(graph: GraphBuilder, x: str, name: str) -> str:
    """Only the last of the sequence's positions: [B, S, H] -> [B, 1, H]."""
    numbers = [("last_start", -1), ("last_end", np.iinfo(np.int64).max), ("last_axis", 1)]
    bounds = [graph.weight(key, np.array([number], np.int64)) for key, number in numbers]
    return graph.node("Slice", [x, *bounds], name)


def _quantized_product(graph: GraphBuilder, x: str, data: str, scales: str, blocks: BlockQuantized, name: str) -> str:
    outputs, inputs = blocks.data.shape
    attributes = {"K": inputs, "N": outputs, "bits": 8, "block_size": blocks.block, "accuracy_level": _INTEGER_ACCURACY}
    return graph.contrib("MatMulNBits", [x, data, scales], name, **attributes)


def _as_blocks(blocks: BlockQuantized) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return blocks.data.reshape(*blocks.scales.shape, blocks.block)


def _cache(config: LlamaConfig, prefix: str, length: str) -> list[ValueInfoProto]:
    shape: list[str | int] = ["batch_size", config.kv_heads, length, config.head_dim]
    return [
        value(f"{prefix}.{layer}.{kind}", TensorProto.FLOAT, shape)
        for layer in range(config.layers)
        for kind in ("key", "value")
    ]
