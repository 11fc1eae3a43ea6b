"""A SigLIP vision tower as ONNX nodes, its grid of patches fixed by the picture's side.

Architecture: X. Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (2023): a pre-norm vision transformer
without class token. Tensor names are those of Hugging Face's models (`embeddings.patch_embedding.weight`,
`encoder.layers.N.self_attn.q_proj.weight`, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lorgnette.export.graph_builder import GraphBuilder
from lorgnette.export.linears import Linears
from lorgnette.export.llama import FloatArray


@dataclass(frozen=True, slots=True)
class SiglipConfig:
    """Dimensions of the tower: square pictures of `side` pixels in patches of `patch`, what is left over at the right
    and below unseen. `post_norm` normalises what the last layer gives."""

    side: int
    patch: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    norm_epsilon: float
    post_norm: bool = True

    @property
    def cells(self) -> int:
        """Patches along a side."""
        return self.side // self.patch


def tensor_shapes(config: SiglipConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor name of the tower with its shape."""
    hidden, wide = config.hidden, config.intermediate
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.patch_embedding.weight": (hidden, 3, config.patch, config.patch),
        "embeddings.patch_embedding.bias": (hidden,),
        "embeddings.position_embedding.weight": (config.cells**2, hidden),
    }
    matrices = {f"self_attn.{part}_proj": (hidden, hidden) for part in ("q", "k", "v", "out")}
    matrices |= {"mlp.fc1": (wide, hidden), "mlp.fc2": (hidden, wide)}
    for layer in range(config.layers):
        for name, shape in matrices.items():
            shapes[f"encoder.layers.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layers.{layer}.{name}.bias"] = shape[:1]
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"encoder.layers.{layer}.{norm}.{part}": (hidden,) for part in ("weight", "bias")}
    if config.post_norm:
        shapes |= {f"post_layernorm.{part}": (hidden,) for part in ("weight", "bias")}
    return shapes


def siglip_nodes(
    graph: GraphBuilder, pixels: str, config: SiglipConfig, tensors: Mapping[str, FloatArray], linears: Linears
) -> str:
    """Append the tower behind `pixels` [n, 3, side, side]; returns the name of its states [n, cells * cells, hidden].

    The patches stay in float: rounding what the whole picture is seen through costs more than it saves.
    """
    return _Tower(graph, config, tensors, linears).emit(pixels)


@dataclass(frozen=True, slots=True)
class _Tower:
    graph: GraphBuilder
    config: SiglipConfig
    tensors: Mapping[str, FloatArray]
    linears: Linears

    def emit(self, pixels: str) -> str:
        hidden, update = self._patches(pixels), ""
        for layer in range(self.config.layers):
            name = f"encoder.layers.{layer}"
            hidden, normed = self._norm(hidden, update, f"{name}.layer_norm1")
            hidden, normed = self._norm(hidden, self._attention(normed, f"{name}.self_attn"), f"{name}.layer_norm2")
            update = self._mlp(normed, f"{name}.mlp")
        if self.config.post_norm:
            return self._norm(hidden, update, "post_layernorm")[1]
        return self.graph.node("Add", [hidden, update], "last_states")

    def _patches(self, pixels: str) -> str:
        graph, config, name = self.graph, self.config, "embeddings.patch_embedding"
        weights = [graph.weight(f"vision.{name}.{part}", self.tensors[f"{name}.{part}"]) for part in ("weight", "bias")]
        sides = [config.patch, config.patch]
        grid = graph.node("Conv", [pixels, *weights], "patch_grid", kernel_shape=sides, strides=sides)
        shape = graph.weight("patch_rows", np.array([0, config.hidden, config.cells**2], np.int64))
        rows = graph.node(
            "Transpose", [graph.node("Reshape", [grid, shape], "patch_columns")], "patches", perm=[0, 2, 1]
        )
        places = graph.weight("vision.positions", self.tensors["embeddings.position_embedding.weight"])
        return graph.node("Add", [rows, places], "placed_patches")

    def _norm(self, hidden: str, update: str, name: str) -> tuple[str, str]:
        """The residual stream with `update` added, and that normalised."""
        gains = [
            self.graph.weight(f"vision.{name}.{part}", self.tensors[f"{name}.{part}"]) for part in ("weight", "bias")
        ]
        name, epsilon = f"vision.{name}", self.config.norm_epsilon
        # Not SkipLayerNormalization, which takes twice as long on a CPU as these two.
        total = self.graph.node("Add", [hidden, update], f"{name}.sum") if update else hidden
        return total, self.graph.node("LayerNormalization", [total, *gains], name, axis=-1, epsilon=epsilon)

    def _attention(self, x: str, name: str) -> str:
        """One product for queries, keys and values: what it multiplies is rounded once."""
        graph, tensors, config = self.graph, self.tensors, self.config
        parts = [f"{name}.{part}_proj" for part in "qkv"]
        weight, bias = (np.concatenate([tensors[f"{part}.{kind}"] for part in parts]) for kind in ("weight", "bias"))
        packed = self.linears(graph, x, weight, f"vision.{name}.qkv", bias)
        operands = [f"vision.{part}" for part in parts]
        graph.node("Split", [packed], f"vision.{name}.split", outputs=operands, axis=-1, num_outputs=3)
        scale = float(config.hidden // config.heads) ** -0.5
        attended = graph.contrib("MultiHeadAttention", operands, f"vision.{name}", num_heads=config.heads, scale=scale)
        return self._linear(attended, f"{name}.out_proj")

    def _mlp(self, x: str, name: str) -> str:
        wide = self._linear(x, f"{name}.fc1")
        return self._linear(self.graph.node("Gelu", [wide], f"vision.{name}.active", approximate="tanh"), f"{name}.fc2")

    def _linear(self, x: str, name: str) -> str:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return self.linears(self.graph, x, weight, f"vision.{name}", bias)
