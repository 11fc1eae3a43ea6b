"""`decoder_model_merged`: the language model's blocks as an ONNX graph of ONNX Runtime's fused operators.

Inputs `inputs_embeds` f32 [B, S, H], `attention_mask` i64 [B, past + S], `position_ids` i64 [B, S] and
`past_key_values.N.{key,value}` [B, kv_heads, past, head_dim] (f16 in a half-precision graph, else f32); outputs
`logits` f32 [B, kept, V] and `present.N.{key,value}`. A fourth input, `num_logits_to_keep` i64 [1], may be left out:
how many positions from the end have their logits computed, 1 by default, 0 for all. Clients that only know the layout's
table see no such input.

Narrower than the table in three ways, which is what makes it fast: logits are of the last position unless more are
asked for; a mask may only leave out positions at the end of a row (attention takes a length, no mask); positions count
up by one within a row, from any start. A second prefill onto a cache needs B = 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, ValueInfoProto

from lorgnette.export.block_quantization import BlockQuantized, quantize
from lorgnette.export.embedding_graph import Table
from lorgnette.export.graph_builder import DataFile, GraphBuilder, data_beside, value, write_graph
from lorgnette.export.linears import Quantizer, block_product, decoder_linears
from lorgnette.export.llama import FloatArray, LlamaConfig, LlamaWeights
from lorgnette.export.precision import Precision
from lorgnette.llm.bound_cache import LOGITS_KEPT

_HEAD_BLOCK = 32


class DecoderWriter:
    """Emits one decoder of a precision.

    Where the head is tied to the embedding, `table` gives it the content; `share_table` lets it use the same bytes, in
    the file that `embed_tokens` wrote (a client that loads each session's own file only needs its own copy). An untied
    head of a quantized decoder has `head_bits`. `rowwise`, for 8 bits, rounds matrices and head by rows, see `linears`.
    """

    def __init__(
        self,
        weights: LlamaWeights,
        table: Table,
        precision: Precision,
        *,
        share_table: bool = True,
        quantizer: Quantizer | None = None,
        head_bits: int = 8,
        rowwise: bool = False,
    ) -> None:
        self._weights = weights
        self._config = weights.config
        self._table = table
        self._precision = precision
        self._share_table = share_table
        self._head_bits = head_bits
        self._rowwise = rowwise
        self._product = decoder_linears(precision, quantizer, rowwise=rowwise)

    def write(self, path: Path, shared: DataFile | None = None) -> None:
        """Write the graph to `path` and its tensors to `path`_data, or to the `shared` file beside it."""
        with data_beside(path, shared) as data:
            self._graph = GraphBuilder("decoder_model_merged", data, half=self._precision.half)
            self._blocks()
        config, kind = self._config, self._graph.float_type
        inputs = [
            value("inputs_embeds", TensorProto.FLOAT, ["batch_size", "sequence_length", config.hidden]),
            value("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"]),
            value("position_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
            *_cache(config, "past_key_values", "past_sequence_length", kind),
            value(LOGITS_KEPT, TensorProto.INT64, [1]),
        ]
        logits = value("logits", TensorProto.FLOAT, ["batch_size", "logits_kept", config.vocabulary])
        outputs = [logits, *_cache(config, "present", "total_sequence_length", kind)]
        write_graph(self._graph.model(inputs, outputs), path)

    def _blocks(self) -> None:
        self._add_lengths()
        self._add_rotary()
        graph, epsilon = self._graph, self._config.norm_epsilon
        hidden, update = graph.from_float32("inputs_embeds", "hidden"), ""
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
        gain = graph.weight("final_norm.weight", self._weights.tensors["model.norm.weight"])
        normed = _add_and_norm(graph, hidden, update, gain, "final_norm", epsilon)
        graph.as_float32(self._head(self._kept(normed)), "logits")

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
        config, name, weights = self._config, f"layers.{layer}", self._weights
        matrices = [weights.linear(layer, f"self_attn.{part}_proj") for part in "qkv"]
        biases = [weights.bias(layer, f"self_attn.{part}_proj") for part in "qkv"]
        present_biases = [bias for bias in biases if bias is not None]
        bias = np.concatenate(present_biases) if len(present_biases) == len(biases) else None
        packed = self._product(self._graph, x, np.concatenate(matrices), f"{name}.qkv", bias)
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
        return self._linear(layer, attended, "self_attn.o_proj", f"{name}.o")

    def _mlp(self, layer: int, x: str) -> str:
        name, graph = f"layers.{layer}", self._graph
        gate = self._linear(layer, x, "mlp.gate_proj", f"{name}.gate")
        up = self._linear(layer, x, "mlp.up_proj", f"{name}.up")
        active = graph.contrib("QuickGelu", [gate], f"{name}.silu", alpha=1.0)  # x sigmoid(x)
        product = graph.node("Mul", [active, up], f"{name}.product")
        return self._linear(layer, product, "mlp.down_proj", f"{name}.down")

    def _linear(self, layer: int, x: str, tensor: str, name: str) -> str:
        weights = self._weights
        return self._product(self._graph, x, weights.linear(layer, tensor), name, weights.bias(layer, tensor))

    def _kept(self, x: str) -> str:
        """The last `num_logits_to_keep` of the sequence's positions: [B, S, H] -> [B, kept, H]."""
        graph = self._graph
        # Slice takes its start from the processor. What is computed from a shape is computed there on any provider, and
        # so a session on a GPU has nothing to fetch, which would keep it from being recorded as one piece.
        nothing = graph.node("Sub", ["mask_total", "mask_total"], "nothing")
        start = graph.node("Sub", [nothing, graph.weight(LOGITS_KEPT, np.array([1], np.int64))], "kept_start")
        end = graph.weight("kept_end", np.array([np.iinfo(np.int64).max], np.int64))
        return graph.node("Slice", [x, start, end, graph.weight("axis_1", np.array([1], np.int64))], "kept")

    def _head(self, x: str) -> str:
        graph, head = self._graph, self._weights.head
        if self._rowwise:
            return self._product(graph, x, self._weights.embedding if head is None else head, "head")
        content, places = self._table.content, self._table.places if self._share_table else (None, None)
        if head is not None:
            content = quantize(head, _HEAD_BLOCK, bits=self._head_bits) if self._precision.quantized else head
            places = (None, None)
        if isinstance(content, BlockQuantized):
            data = graph.weight("head.data", content.packed(), places[0])
            scales = graph.weight("head.scales", content.scales, places[1])
            return block_product(graph, [x, data, scales], content, "head")
        # The table lies [vocabulary, hidden]: Gemm reads it transposed, in 2-D.
        weight = graph.weight("head", content, places[0])
        flat = graph.node("Reshape", [x, graph.weight("rows", np.array([-1, self._config.hidden], np.int64))], "flat")
        product = graph.node("Gemm", [flat, weight], "flat_logits", transB=1)
        shape = graph.node("Shape", [x], "kept_shape", start=0, end=2)
        width = graph.weight("vocabulary", np.array([self._config.vocabulary], np.int64))
        return graph.node(
            "Reshape", [product, graph.node("Concat", [shape, width], "logits_shape", axis=0)], "head_logits"
        )


def rotary_tables(config: LlamaConfig) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines [context, head_dim / 2] of position * theta ** (-2 i / head_dim) (RoFormer, 2021), the
    frequencies stretched as `config.rope_scaling` says (Llama 3, 2024)."""
    frequencies = config.rope_theta ** (-np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim)
    if config.rope_scaling is not None:
        scaling = config.rope_scaling
        turns = scaling.original_context * frequencies / (2 * np.pi)
        kept = np.clip((turns - scaling.low) / (scaling.high - scaling.low), 0.0, 1.0)
        frequencies = frequencies * (kept + (1 - kept) / scaling.factor)
    angles = np.arange(config.context, dtype=np.float64)[:, None] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _add_and_norm(graph: GraphBuilder, hidden: str, update: str, gain: str, name: str, epsilon: float) -> str:
    """Normalise `hidden` + `update`; the sum, which is the new residual stream, is called `name`.sum."""
    outputs = [name, "", "", f"{name}.sum"]
    return graph.contrib(
        "SkipSimplifiedLayerNormalization", [hidden, update, gain], name, outputs=outputs, epsilon=epsilon
    )


def _cache(config: LlamaConfig, prefix: str, length: str, kind: int) -> list[ValueInfoProto]:
    shape: list[str | int] = ["batch_size", config.kv_heads, length, config.head_dim]
    return [
        value(f"{prefix}.{layer}.{part}", kind, shape) for layer in range(config.layers) for part in ("key", "value")
    ]
