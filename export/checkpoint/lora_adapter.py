"""A PEFT LoRA folder: which tensors of its base it changes, by which matrices and how much.

Follows peft's own rules (`LoraModel._create_and_replace`, `get_pattern_key`, `get_peft_model_state_dict`). What they
would need a network of other layers for, or another base than the one on the disk, is refused rather than dropped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorgnette.device.errors import InputError
from lorgnette.export.checkpoint.folder import ADAPTER_CONFIG
from lorgnette.export.checkpoint.json_file import read_json
from lorgnette.export.checkpoint.tensors import SafetensorsTensors
from lorgnette.export.llama import WeightsFormatError

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_MERGE = "merge it with peft's `merge_and_unload()` and export the result"
# Fields that make a layer compute something else than W x + scale B A x, or put it elsewhere.
_VARIANTS = {
    "use_dora": "DoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "Arrow routing",
    "monteclora_config": "MonteCLoRA",
    "kasa_config": "KaSA",
    "lora_bias": "LoRA with biases",
    "layer_replication": "replicated layers",
    "target_parameters": "LoRA of bare parameters",
    "trainable_token_indices": "trained single tokens",
}
# These start from a part of the base and take it out of the base: added to the whole base, that part would count twice.
_STARTS_THAT_CHANGE_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True, slots=True)
class Update:
    """What is added to a weight: `scale` x up x down, transposed if `transposed`. `down` and `up` name tensors of the
    adapter, [rank, inputs, ...] and [outputs, rank, ...]. `weight` is the changed tensor's name as peft knew it."""

    weight: str
    down: str
    up: str
    rank: int
    scale: float
    transposed: bool


@dataclass(frozen=True, slots=True)
class LoraAdapter:
    """`replacements` maps a weight's name as peft knew it to the tensor that takes its place; updates come after.
    `base` is the model that the adapter says it was trained on ("" where it does not say)."""

    folder: Path
    base: str
    tensors: SafetensorsTensors
    updates: tuple[Update, ...]
    replacements: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Recipe:
    rank: int
    alpha: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    root: bool
    transposed: bool

    def rank_of(self, module: str) -> int:
        return self.ranks.get(_pattern(self.ranks, module), self.rank)

    def scale_of(self, module: str) -> float:
        alpha, rank = self.alphas.get(_pattern(self.alphas, module), self.alpha), self.rank_of(module)
        return alpha / math.sqrt(rank) if self.root else alpha / rank


def read_adapter(folder: Path) -> LoraAdapter:
    """Read the adapter's description and the header of its weights.

    Raises `InputError` if `folder` holds no LoRA adapter or one of a kind that is not merged here, and
    `WeightsFormatError` if a file is damaged.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        raise InputError(f"{folder} is no LoRA folder: it has no {ADAPTER_CONFIG}", "give the folder that peft wrote")
    config = read_json(folder / ADAPTER_CONFIG)
    recipe = _recipe(folder, config)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").exists()
        wrong = "only pickled weights, which can run code when they are read" if pickled else f"no {ADAPTER_WEIGHTS}"
        raise InputError(f"the LoRA folder {folder} has {wrong}", "load it in a sandbox and save it with peft again")
    tensors = SafetensorsTensors([folder / ADAPTER_WEIGHTS])
    halves: dict[tuple[str, bool], dict[str, str]] = {}
    replacements: dict[str, str] = {}
    for key in tensors:
        name = key.removeprefix("base_model.model.")
        match = re.fullmatch(r"(.+)\.lora_(embedding_)?([AB])(?:\.default)?(\.weight)?", name)
        if match is not None and bool(match[2]) != bool(match[4]):
            halves.setdefault((match[1], bool(match[2])), {})[match[3]] = key
        elif "lora_" in name or "trainable_tokens" in name:
            raise InputError(f"the LoRA {folder} has a tensor of a kind that is not merged here: {key}", _MERGE)
        else:
            plain = re.sub(r"\.(modules_to_save(\.default)?|base_layer|original_module)(?=\.)", "", name)
            if plain in replacements:
                raise WeightsFormatError(f"the LoRA {folder} replaces {plain} twice", _MERGE)
            replacements[plain] = key
    updates = []
    for (module, embedding), pair in halves.items():
        if len(pair) < 2:
            raise WeightsFormatError(f"the LoRA {folder} has one half of the update of {module}", "fetch it again")
        rank, scale = recipe.rank_of(module), recipe.scale_of(module)
        transposed = embedding or recipe.transposed
        updates.append(Update(f"{module}.weight", pair["A"], pair["B"], rank, scale, transposed))
    if not updates and not replacements:
        raise WeightsFormatError(f"the LoRA {folder} changes nothing", "give the folder that peft wrote")
    return LoraAdapter(folder, str(config.get("base_model_name_or_path") or ""), tensors, tuple(updates), replacements)


def _recipe(folder: Path, config: Mapping[str, Any]) -> _Recipe:
    kind = str(config.get("peft_type"))
    if kind.upper() != "LORA":
        raise InputError(f"the adapter {folder} is of the type {kind}; only LORA is merged here", _MERGE)
    for field, name in _VARIANTS.items():
        if config.get(field):
            raise InputError(f"the LoRA {folder} uses {name}, which is not merged here", _MERGE)
    start = str(config.get("init_lora_weights")).lower()
    if start.startswith(_STARTS_THAT_CHANGE_THE_BASE):
        raise InputError(f"the LoRA {folder} started from {start}, which also changes the base", _MERGE)
    try:
        recipe = _Recipe(
            rank=int(config["r"]),
            alpha=float(config["lora_alpha"]),
            ranks={str(key): int(rank) for key, rank in (config.get("rank_pattern") or {}).items()},
            alphas={str(key): float(alpha) for key, alpha in (config.get("alpha_pattern") or {}).items()},
            root=bool(config.get("use_rslora")),
            transposed=bool(config.get("fan_in_fan_out")),
        )
        for pattern in (*recipe.ranks, *recipe.alphas):
            re.compile(pattern)
        if min([recipe.rank, *recipe.ranks.values()]) < 1:
            raise ValueError("a rank is below 1")
    except KeyError as error:
        raise WeightsFormatError(f"{folder / ADAPTER_CONFIG} lacks {error.args[0]}", "fetch it again") from error
    except (ValueError, TypeError, AttributeError, re.error) as error:
        raise WeightsFormatError(f"{folder / ADAPTER_CONFIG} cannot be used: {error}", "fetch it again") from error
    return recipe


def _pattern(patterns: Mapping[str, Any], module: str) -> str:
    """The first key that matches the end of a module's path, as peft's `get_pattern_key`."""
    return next((key for key in patterns if re.match(rf"(.*\.)?({key})$", module)), module)
