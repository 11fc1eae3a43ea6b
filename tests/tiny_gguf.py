"""A tiny language model as a GGUF file, in the names and the row order of llama.cpp's converter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

from lorgnette.export.assembly import Assembly
from lorgnette.export.llama import FloatArray

_GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(
    path: Path,
    model: Assembly,
    merges: Sequence[str],
    *,
    architecture: str = "llama",
    pre: str = "smollm",
    template: str = "",
    leave_out: str = "",
) -> None:
    """Write a model as llama.cpp's converter would, in fp32: rows of a Llama's q and k in rotary pairs."""
    config = model.language.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.intermediate)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_vocab_size(config.vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    vocabulary = model.tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    special = {token.content for token in model.tokenizer.get_added_tokens_decoder().values()}
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges(list(merges))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_license("apache-2.0")
    if template:
        writer.add_chat_template(template)
    for name, array in model.language.tensors.items():
        theirs = _their_name(name)
        if theirs == leave_out:
            continue
        permuted = {"q_proj": config.heads, "k_proj": config.kv_heads} if architecture == "llama" else {}
        heads = permuted.get(name.split(".")[-2])
        writer.add_tensor(theirs, array if heads is None else _in_rotary_pairs(array, heads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _their_name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    if name == "lm_head.weight":
        return "output.weight"
    _, _, layer, *inner, kind = name.split(".")
    return f"blk.{layer}.{_GGUF_NAMES['.'.join(inner)]}.{kind}"


def _in_rotary_pairs(array: FloatArray, heads: int) -> FloatArray:
    """Row i and row i + half of a head become neighbours."""
    result = np.empty_like(array)
    width = len(array) // heads
    for head in range(heads):
        for i in range(width // 2):
            result[head * width + 2 * i] = array[head * width + i]
            result[head * width + 2 * i + 1] = array[head * width + width // 2 + i]
    return result
