"""nanoVLM's names for tensors, and its two packings: queries, keys and values in one, positions as a batch of one."""

from __future__ import annotations

from collections.abc import Mapping

from lorgnette.export.checkpoint.tensors import NamedTensors, shape_of
from lorgnette.export.llama import FloatArray, LlamaConfig, tensor_shapes
from lorgnette.export.siglip_graph import SiglipConfig
from lorgnette.export.siglip_graph import tensor_shapes as tower_shapes

HEAD, TABLE = "decoder.head.weight", "decoder.token_embedding.weight"
# Parts of a name, ours to theirs.
_DECODER = {
    "model.embed_tokens.": "decoder.token_embedding.",
    "model.norm.": "decoder.norm.",
    "model.layers.": "decoder.blocks.",
    ".self_attn.o_proj.": ".attn.out_proj.",
    ".self_attn.": ".attn.",
    ".input_layernorm.": ".norm1.",
    ".post_attention_layernorm.": ".norm2.",
}
_TOWER = {
    "embeddings.patch_embedding.": "patch_embedding.conv.",
    "embeddings.position_embedding.weight": "patch_embedding.position_embedding",
    "encoder.layers.": "blocks.",
    ".self_attn.": ".attn.",
    ".layer_norm1.": ".ln1.",
    ".layer_norm2.": ".ln2.",
    "post_layernorm.": "layer_norm.",
}


def decoder_names(config: LlamaConfig, tensors: Mapping[str, FloatArray]) -> dict[str, str]:
    """Our names of the language model's tensors to theirs."""
    names = {name: _renamed(name, _DECODER) for name in tensor_shapes(config)}
    if TABLE not in tensors:  # of a tensor with two names, safetensors keeps the one that sorts first
        names["model.embed_tokens.weight"] = HEAD
    return names


class TowerTensors(NamedTensors):
    """The tower of a checkpoint's `tensors` under our names; queries, keys and values are parts of one matrix there."""

    def __init__(self, tensors: Mapping[str, FloatArray], config: SiglipConfig) -> None:
        super().__init__(tensors, {name: f"vision_encoder.{_renamed(name, _TOWER)}" for name in tower_shapes(config)})
        self._width = config.hidden

    def shape(self, name: str) -> tuple[int, ...]:
        theirs, part = self._place(name)
        shape = shape_of(self._tensors, theirs)
        if isinstance(part, int):
            return shape[1:]
        return (len(range(*part.indices(shape[0]))), *shape[1:])

    def __getitem__(self, name: str) -> FloatArray:
        theirs, part = self._place(name)
        return self._tensors[theirs][part]

    def _place(self, name: str) -> tuple[str, int | slice]:
        """Their name, and what of its first axis is meant."""
        theirs = self._names[name]
        if theirs.endswith("position_embedding"):
            return theirs, 0
        for index, part in enumerate("qkv"):
            if f".{part}_proj." in theirs:
                packed = theirs.replace(f".{part}_proj.", ".qkv_proj.")
                return packed, slice(index * self._width, (index + 1) * self._width)
        return theirs, slice(None)


def _renamed(name: str, parts: Mapping[str, str]) -> str:
    for ours, theirs in parts.items():
        name = name.replace(ours, theirs)
    return name
