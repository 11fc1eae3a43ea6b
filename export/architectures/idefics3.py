"""SmolVLM, SmolVLM2, Idefics3 and granite-docling: SigLIP, pixel shuffle, a Llama that reads tiles.

Described in arXiv 2504.05299 (SmolVLM) and 2408.12637 (Idefics3).
"""

from __future__ import annotations

from lorgnette.export.architectures.parts import (
    Json,
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
from lorgnette.export.checkpoint.tensors import shape_of
from lorgnette.export.client_files import client_files
from lorgnette.export.llama import WeightsFormatError
from lorgnette.export.tiled_vision_graph import TiledVision

_PROJECTION = "model.connector.modality_projection.proj.weight"
_AROUND, _WHOLE = "<fake_token_around_image>", "<global-img>"
# What the family's configs leave out.
_TOWER = {"num_hidden_layers": 12, "intermediate_size": 3072}
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}"
    "{{ ':' if message.content[0].type == 'image' else ': ' }}"
    "{% for line in message.content %}{{ '<image>' if line.type == 'image' else line.text }}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def read(checkpoint: Checkpoint) -> Assembly:
    config = checkpoint.config
    language = language_config(section(config, "text_config"))
    tied = bool(config.get("tie_word_embeddings", False))
    vision = _vision(checkpoint, config, language.hidden)
    tokenizer = read_tokenizer(checkpoint)
    image_token = tokenizer.id_to_token(number(config, "image_token_id"))
    if image_token is None:
        raise WeightsFormatError(f"the tokenizer has no token {config['image_token_id']}", "it is another model's")
    facts = image_processor(checkpoint)
    prompt = prompt_of(
        checkpoint,
        tokenizer,
        image_token,
        vision.tokens,
        stop_ids(
            checkpoint, tokenizer.token_to_id("<end_of_utterance>"), section(config, "text_config").get("eos_token_id")
        ),
        default_template=CHAT_TEMPLATE,
        whole=f"{_AROUND}{_WHOLE}{{image}}{_AROUND}",
        tile=f"{_AROUND}<row_{{row}}_col_{{column}}>{{image}}",
        end_of_row="\n",
        whole_after_tiles=f"\n{_AROUND}{_WHOLE}{{image}}{_AROUND}",
    )
    longest = facts.get("size", {}).get("longest_edge", 4 * vision.config.side)
    splits = bool(facts.get("do_image_splitting", True))
    prepared = preprocessing(facts, vision.config.side, longest, splits=splits)
    return Assembly(
        name=model_name(checkpoint),
        language=language_model(checkpoint, language, "model.text_model.", tied=tied),
        tokenizer=tokenizer,
        vision=vision,
        preprocessing=prepared,
        prompt=prompt,
        parts=(weight_part(checkpoint),),
        client_files=client_files(
            checkpoint, tokenizer, prompt, prepared, layers=language.layers, default_template=CHAT_TEMPLATE
        ),
    )


def _vision(checkpoint: Checkpoint, config: Json, hidden: int) -> TiledVision:
    tower = siglip_config(section(config, "vision_config"), _TOWER)
    fold = number(config, "scale_factor", 2)
    if tower.cells % fold:
        raise WeightsFormatError(f"config.json: {tower.cells} cells along a side do not fold by scale_factor {fold}")
    wanted = (hidden, tower.hidden * fold * fold)
    if shape_of(checkpoint.tensors, _PROJECTION) != wanted:
        raise WeightsFormatError(f"{_PROJECTION} should be {wanted} by config.json", "it belongs to other weights")
    tensors = siglip(checkpoint, tower, "model.vision_model.")
    return TiledVision(tower, tensors, fold, checkpoint.tensors[_PROJECTION])
