"""Which architecture reads which checkpoint, by its config.json."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from lorgnette.device.errors import InputError
from lorgnette.export.assembly import Assembly
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.llama import WeightsFormatError

Reader = Callable[[Checkpoint], Assembly]

# Module in this package, and the families it reads for the help text.
_MODULES = {
    "smolvlm": "idefics3",
    "idefics3": "idefics3",
    "llama": "llama",
    "qwen2": "llama",
    "mistral": "llama",
    "nanovlm": "nanovlm",
    "llava_onevision": "llava_onevision",
}
FAMILIES = {
    "idefics3": "SmolVLM, SmolVLM2, Idefics3, granite-docling",
    "nanovlm": "nanoVLM",
    "llava_onevision": "LLaVA-OneVision (the whole picture)",
    "llama": "Llama, SmolLM2, Qwen2, Mistral without a window (text)",
}


def read_model(checkpoint: Checkpoint) -> Assembly:
    """The model in `checkpoint`. Raises InputError for an architecture that is not supported, WeightsFormatError for a
    config or tensors that are not as that architecture has them."""
    kind = _kind(checkpoint)
    if kind not in _MODULES:
        named = kind or ", ".join(map(str, checkpoint.config.get("architectures", [])))
        raise InputError(
            f"{checkpoint.origin.name} is a {named} model, which cannot be exported", f"supported: {supported()}"
        )
    module = importlib.import_module(f"lorgnette.export.architectures.{_MODULES[kind]}")
    reader: Reader = module.read
    try:
        return reader(checkpoint)
    except KeyError as error:
        raise WeightsFormatError(
            f"{checkpoint.origin.name} lacks {error.args[0]}", "fetch or save the whole checkpoint again"
        ) from error


def _kind(checkpoint: Checkpoint) -> str:
    """The `model_type`; nanoVLM's config has none and is known by its fields."""
    config = checkpoint.config
    return str(config.get("model_type") or ("nanovlm" if {"vit_hidden_dim", "lm_hidden_dim"} <= set(config) else ""))


def supported() -> str:
    return "; ".join(FAMILIES.values())
