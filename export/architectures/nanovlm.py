"""nanoVLM (huggingface/nanoVLM): SigLIP, pixel shuffle and a SmolLM2, as that project's own code writes them.

Its config.json has no `model_type`. Four generations differ in how a picture stands in the prompt, and are told by
`vlm_extra_tokens`: none (222M: the picture, for which no token stands, then "Question: ... Answer:"), an image token,
tokens of rows and columns too, a token of the whole picture too. The third cuts pictures into tiles without a whole
one; here it sees them in one tile. Pixels are in 0..1, with no mean and no deviation.
"""

from __future__ import annotations

from dataclasses import replace

from tokenizers import Tokenizer

from lorgnette.export.architectures.nanovlm_names import HEAD, TowerTensors, decoder_names
from lorgnette.export.architectures.parts import (
    Json,
    check_shapes,
    model_name,
    named_language_model,
    number,
    section,
)
from lorgnette.export.architectures.processor_files import prompt_template, read_tokenizer, special_tokens, weight_part
from lorgnette.export.assembly import Assembly
from lorgnette.export.chat_template import PromptPieces, prompt_pieces
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.llama import LlamaConfig, LlamaWeights, WeightsFormatError
from lorgnette.export.siglip_graph import SiglipConfig
from lorgnette.export.siglip_graph import tensor_shapes as tower_shapes
from lorgnette.export.tiled_vision_graph import TiledVision
from lorgnette.llm.manifest import Preprocessing, PromptTemplate

_PROJECTION = "MP.proj.weight"
_QUESTION = PromptPieces("", "", "Question: ", "Question: ", " Answer:", "", "")


def read(checkpoint: Checkpoint) -> Assembly:
    config = checkpoint.config
    if config.get("vit_cls_flag") or config.get("lm_attn_scaling", 1.0) != 1.0:
        raise WeightsFormatError("vit_cls_flag and lm_attn_scaling are not supported", "train without them")
    extra = section(config, "vlm_extra_tokens") if config.get("vlm_extra_tokens") else {}
    tokenizer = _tokenizer(checkpoint, extra)
    vision = _vision(checkpoint)
    if config.get("mp_image_token_length", vision.tokens) != vision.tokens:
        raise WeightsFormatError(f"config.json: mp_image_token_length must be {vision.tokens}")
    return Assembly(
        name=model_name(checkpoint),
        language=_language(checkpoint),
        tokenizer=tokenizer,
        vision=vision,
        preprocessing=_preprocessing(config, extra),
        prompt=_prompt(checkpoint, tokenizer, extra, vision.tokens),
        parts=(weight_part(checkpoint),),
    )


def _tokenizer(checkpoint: Checkpoint, extra: Json) -> Tokenizer:
    """The tokenizer lies in another repository, and with its extra tokens nowhere."""
    name, source = checkpoint.origin.name, checkpoint.config.get("lm_tokenizer")
    hint = f"put the tokenizer.json of {source} beside the weights" + bool(extra) * ", with vlm_extra_tokens added"
    if not (checkpoint.folder / "tokenizer.json").exists():
        raise WeightsFormatError(f"{name} has no tokenizer.json, as nanoVLM saves none", hint)
    tokenizer = read_tokenizer(checkpoint)
    for token in extra.values():
        if len(tokenizer.encode(token, add_special_tokens=False).ids) != 1:
            raise WeightsFormatError(f"the tokenizer.json of {name} lacks {token}", hint)
    return tokenizer


def _language(checkpoint: Checkpoint) -> LlamaWeights:
    config = checkpoint.config
    hidden, heads = number(config, "lm_hidden_dim"), number(config, "lm_n_heads")
    language = LlamaConfig(
        layers=number(config, "lm_n_blocks"),
        hidden=hidden,
        heads=heads,
        kv_heads=number(config, "lm_n_kv_heads"),
        head_dim=hidden // heads,
        intermediate=number(config, "lm_inter_dim"),
        vocabulary=number(config, "lm_vocab_size"),
        context=number(config, "lm_max_position_embeddings"),
        rope_theta=float(config["lm_re_base"]),
        norm_epsilon=float(config["lm_rms_eps"]),
    )
    names, tied = decoder_names(language, checkpoint.tensors), bool(config.get("lm_tie_weights", True))
    return named_language_model(checkpoint, language, names, head=HEAD, tied=tied)


def _vision(checkpoint: Checkpoint) -> TiledVision:
    config, fold = checkpoint.config, number(checkpoint.config, "mp_pixel_shuffle_factor")
    tower = SiglipConfig(
        side=number(config, "vit_img_size"),
        patch=number(config, "vit_patch_size"),
        hidden=number(config, "vit_hidden_dim"),
        layers=number(config, "vit_n_blocks"),
        heads=number(config, "vit_n_heads"),
        intermediate=number(config, "vit_inter_dim"),
        norm_epsilon=float(config["vit_ln_eps"]),
    )
    if tower.cells % fold:
        raise WeightsFormatError(f"config.json: {tower.cells} cells do not fold by mp_pixel_shuffle_factor {fold}")
    tensors = TowerTensors(checkpoint.tensors, tower)
    check_shapes(tower_shapes(tower), tensors, checkpoint)
    wanted = {_PROJECTION: (number(config, "lm_hidden_dim"), tower.hidden * fold * fold)}
    check_shapes(wanted, checkpoint.tensors, checkpoint)
    return TiledVision(tower, tensors, fold, checkpoint.tensors[_PROJECTION])


def _preprocessing(config: Json, extra: Json) -> Preprocessing:
    side, tiled = number(config, "vit_img_size"), "global_image_token" in extra
    longest = number(config, "max_img_size") if tiled else 0
    if tiled and (longest % side or f"r{longest // side}c{longest // side}" not in extra):
        raise WeightsFormatError(f"config.json: max_img_size {longest} is not in tiles that have tokens")
    enlarged = tiled and config.get("resize_to_max_side_len", False)
    return Preprocessing(
        width=side,
        height=side,
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        resize="squash",
        filter="bicubic" if "r1c1" in extra else "bilinear",
        layout="NTCHW",
        channels="RGB",
        longest_edge=longest,
        max_tiles=(longest // side) ** 2 + 1 if tiled else 1,
        tiling="direct_enlarged" if enlarged else "direct",
    )


def _prompt(checkpoint: Checkpoint, tokenizer: Tokenizer, extra: Json, tokens: int) -> PromptTemplate:
    special = special_tokens(checkpoint)
    end = special["eos_token"] or ("<|im_end|>" if extra else "<|endoftext|>")
    end_id = tokenizer.token_to_id(end)
    if end_id is None:
        raise WeightsFormatError(f"the tokenizer.json of {checkpoint.origin.name} lacks {end}", "it is another model's")
    if not extra:
        # No token stands for the picture: any will do that the words around it do not hold.
        return prompt_template(replace(_QUESTION, end_of_answer=end), end, tokens, (end_id,))
    image, whole = extra["image_token"], extra.get("global_image_token", "") + "{image}"
    pieces = prompt_pieces(checkpoint.config["lm_chat_template"], special, image, inline=True)
    if "global_image_token" not in extra:
        return prompt_template(pieces, image, tokens, (end_id,), whole=extra.get("r1c1", "") + "{image}")
    cut = {"tile": "<row_{row}_col_{column}>{image}", "whole_before_tiles": whole}
    return prompt_template(pieces, image, tokens, (end_id,), whole=whole, **cut)
