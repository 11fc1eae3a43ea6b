"""Models of text alone: Llama (SmolLM2 is one), Qwen2, and Mistral where it has no sliding window.

Described in arXiv 2302.13971 (Llama), 2407.21783 (Llama 3), 2407.10671 (Qwen2) and 2310.06825 (Mistral). Qwen2 differs
by biases of queries, keys and values, which are read wherever they are. A model without a chat template is taken for
one that goes on with a text: it gets the question as a line.
"""

from __future__ import annotations

from lorgnette.export.architectures.parts import (
    language_config,
    language_model,
    model_name,
    stop_ids,
)
from lorgnette.export.architectures.processor_files import begins_with_bos, prompt_of, read_tokenizer, weight_part
from lorgnette.export.assembly import Assembly
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.client_files import client_files
from lorgnette.export.llama import WeightsFormatError

_LINES = "{% for message in messages %}{{ message.content }}{{ '\n' }}{% endfor %}"
# What Mistral's configs mean by leaving it out.
_WINDOW = 4096


def read(checkpoint: Checkpoint) -> Assembly:
    config = checkpoint.config
    if config["model_type"] == "mistral" and config.get("sliding_window", _WINDOW) is not None:
        raise WeightsFormatError("sliding-window attention is not supported", "use a model without it")
    language = language_config(config)
    tokenizer = read_tokenizer(checkpoint)
    template = ("{{ bos_token }}" if begins_with_bos(checkpoint, tokenizer) else "") + _LINES
    ends = stop_ids(checkpoint, config.get("eos_token_id"))
    prompt = prompt_of(checkpoint, tokenizer, "", 0, ends, default_template=template)
    return Assembly(
        name=model_name(checkpoint),
        language=language_model(checkpoint, language, "model.", tied=bool(config.get("tie_word_embeddings", False))),
        tokenizer=tokenizer,
        vision=None,
        preprocessing=None,
        prompt=prompt,
        parts=(weight_part(checkpoint),),
        client_files=client_files(
            checkpoint, tokenizer, prompt, None, layers=language.layers, default_template=template
        ),
    )
