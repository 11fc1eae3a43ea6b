"""The files beside the sessions for other programs: transformers.js, Optimum, transformers' tokenizers and processors.

They are the checkpoint's own, brought to a form that all of these read and that says what our runtime does.
transformers 4 and 5 keep the same facts in different files, and transformers.js 4 reads only some of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lorgnette.export.architectures.parts import image_processor, optional_json
from lorgnette.export.architectures.processor_files import chat_template
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.llm.manifest import Preprocessing, PromptTemplate

Record = dict[str, Any]

CONFIG = "config.json"
_TEMPLATE = "chat_template.jinja"
_SPECIAL_TOKENS = "special_tokens_map.json"

# How transformers' classes of a family begin, and the kind of its language model, which old configs leave out.
_FAMILIES = {
    "smolvlm": ("SmolVLM", "llama"),
    "idefics3": ("Idefics3", "llama"),
    "llava_onevision": ("LlavaOnevision", "qwen2"),
    "llama": ("Llama", "llama"),
    "qwen2": ("Qwen2", "qwen2"),
    "mistral": ("Mistral", "mistral"),
}
# What is true of the checkpoint's weights, code or folder only. `use_cache` is often left off by training.
_NOT_OURS = {
    "_from_model_config",
    "_name_or_path",
    "auto_map",
    "dtype",
    "name_or_path",
    "quantization_config",
    "special_tokens_map_file",
    "tokenizer_file",
    "torch_dtype",
    "transformers.js_config",
    "use_cache",
}
# What processor files leave out.
_PROCESSOR: Record = {
    "do_convert_rgb": True,
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
}
_RESAMPLE = {"lanczos": 1, "bilinear": 2, "bicubic": 3}  # Pillow's numbers
# transformers.js's words for what the suffixes of files stand for.
_DTYPES = {"": "fp32", "_fp16": "fp16", "_quantized": "q8", "_q4": "q4", "_q4f16": "q4f16"}


def client_files(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    prompt: PromptTemplate,
    preprocessing: Preprocessing | None,
    *,
    layers: int,
    default_template: str,
) -> dict[str, bytes]:
    """Contents by file name, for an `Assembly`. `layers` are the language model's, `default_template` is the chat
    template of a checkpoint that has none. Raises WeightsFormatError if one of the checkpoint's files is damaged."""
    template = chat_template(checkpoint) or default_template
    records = {
        CONFIG: _config(checkpoint, tokenizer, prompt, layers),
        "generation_config.json": _ours(optional_json(checkpoint, "generation_config.json"))
        | {"eos_token_id": prompt.stop_ids[0] if len(prompt.stop_ids) == 1 else list(prompt.stop_ids)},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}
        | _ours(optional_json(checkpoint, "tokenizer_config.json"))
        | {"chat_template": template},
    }
    if preprocessing is not None:
        records |= _processor(checkpoint, prompt, preprocessing)
    special = optional_json(checkpoint, _SPECIAL_TOKENS)
    if special:
        records[_SPECIAL_TOKENS] = special
    return {name: _encode(record) for name, record in records.items()} | {_TEMPLATE: template.encode()}


def with_sessions(config: bytes, sessions: Path, default_suffix: Mapping[str, str]) -> bytes:
    """config.json with what transformers.js wants to know of the files in the folder `sessions`: which have data of
    their own, and the precision of each session where the caller asks for none."""
    ours = {
        "dtype": {session: _DTYPES[suffix] for session, suffix in default_suffix.items()},
        # By the name of each file: a session that is said to have data and has none would end the process.
        "use_external_data_format": {f"{path.stem}.onnx": 1 for path in sorted(sessions.glob("*.onnx_data"))},
    }
    return _encode({**json.loads(config), "transformers.js_config": ours})


def _config(checkpoint: Checkpoint, tokenizer: Tokenizer, prompt: PromptTemplate, layers: int) -> Record:
    config = _ours(checkpoint.config)
    family, language = _FAMILIES[config["model_type"]]
    head = "ForConditionalGeneration" if prompt.image_token else "ForCausalLM"
    config["architectures"] = config.get("architectures") or [f"{family}{head}"]
    if prompt.image_token:
        config["text_config"] = {"model_type": language} | config["text_config"] | {"num_hidden_layers": layers}
        config["image_token_id"] = tokenizer.token_to_id(prompt.image_token)
        if "image_token_index" in config:  # its older name, which transformers.js prefers
            config["image_token_index"] = config["image_token_id"]
    else:
        config["num_hidden_layers"] = layers
    return config


def _processor(checkpoint: Checkpoint, prompt: PromptTemplate, preprocessing: Preprocessing) -> dict[str, Record]:
    """preprocessor_config.json, which all clients read, and processor_config.json with the rest."""
    family, _ = _FAMILIES[checkpoint.config["model_type"]]
    facts = _PROCESSOR | _ours(image_processor(checkpoint))
    rest = _ours(optional_json(checkpoint, "processor_config.json"))
    for moved in ("image_processor", "chat_template"):
        rest.pop(moved, None)
    facts["resample"] = _RESAMPLE[preprocessing.filter]
    if preprocessing.longest_edge:
        facts["size"] = {"longest_edge": preprocessing.longest_edge}
        facts["max_image_size"] = {"longest_edge": preprocessing.width}
        facts["do_image_splitting"] = preprocessing.max_tiles > 1
        rest["image_seq_len"] = prompt.tokens_per_image
    else:
        facts["size"] = {"height": preprocessing.height, "width": preprocessing.width}
    # transformers.js knows the classes without the name of what they compute with.
    kind = facts.get("image_processor_type", f"{family}ImageProcessor")
    facts["image_processor_type"] = kind.removesuffix("Fast").removesuffix("Pil")
    named = rest.get("processor_class") or facts.get("processor_class") or f"{family}Processor"
    facts["processor_class"] = rest["processor_class"] = named
    return {"preprocessor_config.json": facts, "processor_config.json": rest}


def _ours(record: Mapping[str, Any]) -> Record:
    """`record` without what does not hold for the bundle, in its sections too."""
    return {
        name: _ours(value) if isinstance(value, dict) else value
        for name, value in record.items()
        if name not in _NOT_OURS
    }


def _encode(record: Record) -> bytes:
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()
