"""LLaVA-OneVision (arXiv 2408.03326): SigLIP without its last norm, a perceptron, a Qwen2; the whole picture alone.

The session takes what transformers.js feeds: `pixel_values` [B, 3, side, side], the picture squashed to the side as the
base view is in transformers. It gives what transformers makes of a picture that is one view, as each of several is: a
row for each cell and then `image_newline`. Left out is "anyres", which adds views of parts, cuts off their padding and
interpolates, so that the number of tokens depends on the picture's shape: small writing is not seen. So is video.
"""

from __future__ import annotations

from lorgnette.export.architectures.parts import (
    Json,
    check_shapes,
    image_processor,
    language_config,
    language_model,
    model_name,
    number,
    section,
    siglip,
    siglip_config,
    stop_ids,
)
from lorgnette.export.architectures.processor_files import preprocessing, prompt_of, read_tokenizer, weight_part
from lorgnette.export.assembly import Assembly
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.checkpoint.tensors import NamedTensors
from lorgnette.export.client_files import client_files
from lorgnette.export.llama import WeightsFormatError
from lorgnette.export.single_view_graph import SingleView

# What the family's configs leave out.
_TOWER = {
    "hidden_size": 1152,
    "image_size": 384,
    "intermediate_size": 4304,
    "num_attention_heads": 16,
    "num_hidden_layers": 26,
    "patch_size": 14,
}
_IMAGE_ID = 151646
_BICUBIC = 3
_ACTIVATIONS = {"gelu": False, "gelu_pytorch_tanh": True}
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% for part in message.content %}{{ '<image>\n' if part.type == 'image' else part.text }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def read(checkpoint: Checkpoint) -> Assembly:
    config, text = checkpoint.config, section(checkpoint.config, "text_config")
    if text.get("model_type", "qwen2") != "qwen2":
        raise WeightsFormatError(f"a {text['model_type']} in LLaVA-OneVision is not supported", "qwen2 is")
    language = language_config(text)
    # Newer versions of transformers put everything into one more module.
    nested = "model.image_newline" in checkpoint.tensors
    prefix, head = (
        ("model.language_model.", "lm_head.weight")
        if nested
        else ("language_model.model.", "language_model.lm_head.weight")
    )
    vision = _vision(checkpoint, config, language.hidden, "model." if nested else "")
    tokenizer = read_tokenizer(checkpoint)
    image_id = config.get("image_token_index") or number(config, "image_token_id", _IMAGE_ID)
    image_token = tokenizer.id_to_token(image_id)
    if image_token is None:
        raise WeightsFormatError(f"the tokenizer has no token {image_id}", "it is another model's")
    tied = bool(config.get("tie_word_embeddings") or text.get("tie_word_embeddings"))
    ends = stop_ids(checkpoint, text.get("eos_token_id"), tokenizer.token_to_id("<|im_end|>"))
    prompt = prompt_of(checkpoint, tokenizer, image_token, vision.tokens, ends, default_template=CHAT_TEMPLATE)
    prepared = preprocessing({"resample": _BICUBIC} | image_processor(checkpoint), vision.config.side)
    return Assembly(
        name=model_name(checkpoint),
        language=language_model(checkpoint, language, prefix, tied=tied, head=head),
        tokenizer=tokenizer,
        vision=vision,
        preprocessing=prepared,
        prompt=prompt,
        parts=(weight_part(checkpoint),),
        client_files=client_files(
            checkpoint, tokenizer, prompt, prepared, layers=language.layers, default_template=CHAT_TEMPLATE
        ),
    )


def _vision(checkpoint: Checkpoint, config: Json, hidden: int, outer: str) -> SingleView:
    strategy, activation = (
        config.get("vision_feature_select_strategy", "full"),
        config.get("projector_hidden_act", "gelu"),
    )
    if strategy != "full" or activation not in _ACTIVATIONS:
        raise WeightsFormatError(
            f"features by {strategy!r} and a projector of {activation!r} are not supported", "full and gelu are"
        )
    tower_config = dict(section(config, "vision_config"))
    tower_config["num_hidden_layers"] = _layers(config, number(tower_config, "num_hidden_layers", 26))
    tower = siglip_config(tower_config, _TOWER, post_norm=False)
    prefix = f"{outer}vision_tower."
    if f"{prefix}vision_model.embeddings.patch_embedding.weight" in checkpoint.tensors:
        prefix += "vision_model."
    wanted = {
        "linear_1.weight": (hidden, tower.hidden),
        "linear_2.weight": (hidden, hidden),
        "newline": (hidden,),
    }
    if config.get("multimodal_projector_bias", True):
        wanted |= {"linear_1.bias": (hidden,), "linear_2.bias": (hidden,)}
    names = {name: f"{outer}multi_modal_projector.{name}" for name in wanted}
    found = NamedTensors(checkpoint.tensors, names | {"newline": f"{outer}image_newline"})
    check_shapes(wanted, found, checkpoint)
    return SingleView(tower, siglip(checkpoint, tower, prefix), found, _ACTIVATIONS[activation], found["newline"])


def _layers(config: Json, there: int) -> int:
    """How many of the tower's layers are seen: `vision_feature_layer` counts what goes into and out of them."""
    layer = config.get("vision_feature_layer", -1)
    if type(layer) is not int or not -there <= layer <= there:
        raise WeightsFormatError(
            f"config.json: vision_feature_layer {layer!r} is not supported", "one layer's number is"
        )
    return layer if layer >= 0 else there + 1 + layer
