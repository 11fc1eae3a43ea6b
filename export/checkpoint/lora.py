"""A checkpoint with a LoRA adapter merged into it, tensor by tensor as they are read: W + scale B A."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorgnette.export.checkpoint.lora_adapter import LoraAdapter, Update, read_adapter
from lorgnette.export.checkpoint.tensors import LazyTensors, shape_of
from lorgnette.export.llama import FloatArray, WeightsFormatError

# One model has had several names for its parts: with and without the head class's `model.`, and the language model of a
# vision-language model before and since transformers 4.52 (`language_model.model.`, `model.language_model.`, and
# Qwen2-VL's plain `model.`). Each is (how the adapter's name begins, how the base's name then begins), tried in order.
_OTHER_NAMES = (
    ("", ""),
    ("", "model."),
    ("model.", ""),
    ("model.language_model.", "language_model.model."),
    ("language_model.model.", "model.language_model."),
    ("model.language_model.", "model."),
    ("model.", "model.language_model."),
    ("lm_head.", "language_model.lm_head."),
    ("language_model.lm_head.", "lm_head."),
)


@dataclass(frozen=True, slots=True)
class _Changes:
    """The adapter's changes by the base's names."""

    adapter: LoraAdapter
    updates: Mapping[str, Update]
    replacements: Mapping[str, str]


class _Merged(LazyTensors):
    def __init__(self, base: Mapping[str, FloatArray], changes: _Changes) -> None:
        self._base = base
        self._changes = changes

    def shape(self, name: str) -> tuple[int, ...]:
        return shape_of(self._base, name)

    def __getitem__(self, name: str) -> FloatArray:
        replacement, update = self._changes.replacements.get(name), self._changes.updates.get(name)
        tensors = self._changes.adapter.tensors
        weight = self._base[name] if replacement is None else tensors[replacement]
        return weight if update is None else _updated(weight, update, tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._base

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)


def with_lora(tensors: Mapping[str, FloatArray], folder: Path) -> LazyTensors:
    """`tensors` with the LoRA in `folder` (as peft's `save_pretrained` writes it) merged into them when read.

    Linear layers, embeddings and convolutions of one group are updated, whole modules replaced. Raises
    `WeightsFormatError` if the adapter changes a tensor that `tensors` lack or that has another shape, and what
    `read_adapter` raises.
    """
    adapter = read_adapter(folder)
    updates: dict[str, Update] = {}
    replacements: dict[str, str] = {}
    for wanted, key in adapter.replacements.items():
        name = _base_name(wanted, tensors, adapter)
        _check_shape(adapter, name, shape_of(tensors, name), adapter.tensors.shape(key))
        replacements[name] = key
    for update in adapter.updates:
        name = _base_name(update.weight, tensors, adapter)
        if name in updates:
            raise WeightsFormatError(f"the LoRA {folder} changes {name} under two names")
        _check_update(adapter, update, name, shape_of(tensors, name))
        updates[name] = update
    return _Merged(tensors, _Changes(adapter, updates, replacements))


def _base_name(wanted: str, names: Container[str], adapter: LoraAdapter) -> str:
    for begins, instead in _OTHER_NAMES:
        if wanted.startswith(begins):
            name = instead + wanted.removeprefix(begins)
            if name in names:
                return name
    tied = wanted.endswith("lm_head.weight")
    raise WeightsFormatError(
        f"the LoRA {adapter.folder} changes {wanted}, which this model does not have",
        "its head is its embedding: save the merged model and export that"
        if tied
        else f"it was trained on {adapter.base or 'another model'}",
    )


def _check_update(adapter: LoraAdapter, update: Update, name: str, base: tuple[int, ...]) -> None:
    down, up = adapter.tensors.shape(update.down), adapter.tensors.shape(update.up)
    if down[:1] != (update.rank,) or up[1:2] != (update.rank,):
        raise WeightsFormatError(f"the LoRA's matrices for {name}, {down} and {up}, are not of rank {update.rank}")
    if set(up[2:]) - {1} or len(down) != len(base):
        raise WeightsFormatError(f"the LoRA's matrices for {name}, {down} and {up}, do not fit its shape {base}")
    change = (up[0], *down[1:])
    _check_shape(adapter, name, base, change[::-1] if update.transposed and len(base) == 2 else change)


def _check_shape(adapter: LoraAdapter, name: str, base: tuple[int, ...], change: tuple[int, ...]) -> None:
    if base != change:
        raise WeightsFormatError(
            f"the LoRA {adapter.folder} changes {name} as if its shape were {change}; it is {base}",
            f"it was trained on {adapter.base or 'another model'}, or with more tokens: save the merged model instead",
        )


def _updated(weight: FloatArray, update: Update, tensors: Mapping[str, FloatArray]) -> FloatArray:
    down, up = tensors[update.down], tensors[update.up]
    # A convolution's `up` is 1 x 1, so the product of its flattened kernels is the kernel of the two in a row.
    change = up.reshape(len(up), -1) @ down.reshape(len(down), -1)
    change *= np.float32(update.scale)
    if update.transposed and weight.ndim == 2:
        change = change.T
    change = np.ascontiguousarray(change).reshape(weight.shape)
    change += weight
    return change
