"""The trained part of the embedded model, from one safetensors file: connector weights, low-rank updates of the
language model, and the image encoder's tensors where these were trained too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from lorgnette.export.llama import LINEARS, FloatArray, LlamaWeights, WeightsFormatError

_LAYERS = ("red", "ln", "f1", "f2")
_CONNECTOR = (*(f"{layer}.{part}" for layer in _LAYERS for part in ("weight", "bias")), "own.weight", "g", "pos")
_HINT = "give a file made by the training"
_CONFIDENCE = "confidence"  # in the file's metadata, as JSON
_SCALE = 2.0  # alpha / rank of the training recipe: 32 / 16


@dataclass(frozen=True, slots=True)
class Adapter:
    """`connector` maps the names of the recipe (`red.weight`, ..., `g`, `pos`) to float32 arrays; `updates` maps
    `model.layers.N.<linear>` to the pair A [rank, inputs], B [outputs, rank]; `encoder` holds what takes the place of
    tensors in the encoder's checkpoint; `confidence` is the calibration for the bundle's manifest (empty where nobody
    measured it)."""

    connector: Mapping[str, FloatArray]
    updates: Mapping[str, tuple[FloatArray, FloatArray]]
    encoder: Mapping[str, FloatArray]
    confidence: Mapping[str, float]


def read_adapter(path: Path) -> Adapter:
    """Read `con.*`, `lora.*` and `enc.*`. Raises `WeightsFormatError` if the file is damaged or a tensor is missing."""
    try:
        with safe_open(path, framework="numpy") as file:
            tensors: dict[str, npt.NDArray[Any]] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            confidence = json.loads((file.metadata() or {}).get(_CONFIDENCE, "{}"))
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsFormatError(f"cannot read the adapter {path}: {error}", _HINT) from error
    as_float = {name: np.asarray(array, dtype=np.float32) for name, array in tensors.items()}
    missing = [name for name in _CONNECTOR if f"con.{name}" not in as_float]
    if missing:
        raise WeightsFormatError(f"the adapter {path} lacks con.{missing[0]}", _HINT)
    updates = {}
    for name, down in as_float.items():
        if name.startswith("lora.") and name.endswith(".A"):
            linear = name.removeprefix("lora.").removesuffix(".A")
            up = as_float.get(f"lora.{linear}.B")
            if up is None:
                raise WeightsFormatError(f"the adapter {path} lacks lora.{linear}.B", _HINT)
            updates[linear] = (down, up)
    connector = {name: as_float[f"con.{name}"] for name in _CONNECTOR}
    encoder = {name.removeprefix("enc."): array for name, array in as_float.items() if name.startswith("enc.")}
    return Adapter(connector, updates, encoder, confidence)


def calibrate(path: Path, report: Path) -> dict[str, float]:
    """Keep in the adapter at `path` the calibration that an evaluation measured (its report.json); returns it.

    Raises `WeightsFormatError` if either file is not what it should be.
    """
    try:
        fitted = json.loads(report.read_text(encoding="utf-8"))["confidence"]
        kept = {name: float(fitted[name]) for name in ("slope", "intercept")}
        tensors = load_file(path)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise WeightsFormatError(
            f"cannot take the calibration of {report} into {path}: {error}", "evaluate on more photographs first"
        ) from error
    _save(tensors, path, {_CONFIDENCE: json.dumps(kept)})
    return kept


def average(paths: Sequence[Path], out: Path) -> None:
    """Write the mean of the adapters' tensors, in float16. Raises `WeightsFormatError` if they are not of one shape."""
    try:
        adapters = [load_file(path) for path in paths]
    except (OSError, SafetensorError) as error:
        raise WeightsFormatError(f"cannot read the adapters: {error}", _HINT) from error
    shapes = [{name: array.shape for name, array in adapter.items()} for adapter in adapters]
    if any(shape != shapes[0] for shape in shapes):
        raise WeightsFormatError("the adapters hold different tensors", "average adapters of one training")
    mean = {
        name: np.asarray(np.mean([adapter[name].astype(np.float32) for adapter in adapters], axis=0), np.float16)
        for name in adapters[0]
    }
    _save(mean, out)


def _save(tensors: dict[str, npt.NDArray[Any]], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a file in one step, so that an interruption leaves what was there. (The library's own way of writing files
    makes them unreadable for everybody else.)"""
    partial = path.with_suffix(".partial")
    partial.write_bytes(save(tensors, metadata))
    partial.replace(path)


def merge(weights: LlamaWeights, adapter: Adapter) -> LlamaWeights:
    """The model with every low-rank update added: W + 2 B A. Raises `WeightsFormatError` if a shape does not fit."""
    tensors = dict(weights.tensors)
    known = {f"model.layers.{layer}.{name}" for layer in range(weights.config.layers) for name in LINEARS}
    for linear, (down, up) in adapter.updates.items():
        if linear not in known:
            raise WeightsFormatError(f"the adapter changes {linear}, which this language model does not have")
        base = tensors[f"{linear}.weight"]
        if (up.shape[0], down.shape[1]) != base.shape or up.shape[1] != down.shape[0]:
            raise WeightsFormatError(f"the adapter's update of {linear} does not fit a matrix of shape {base.shape}")
        tensors[f"{linear}.weight"] = base + np.float32(_SCALE) * (up @ down)
    return LlamaWeights(weights.config, tensors)


def with_trained_encoder(encoder: Mapping[str, npt.NDArray[Any]], adapter: Adapter) -> dict[str, npt.NDArray[Any]]:
    """The encoder's checkpoint with the adapter's tensors in it. Raises `WeightsFormatError` if one does not fit."""
    for name, array in adapter.encoder.items():
        if name not in encoder or encoder[name].shape != array.shape:
            raise WeightsFormatError(f"the adapter's {name} does not fit the image encoder", _HINT)
    return {**encoder, **adapter.encoder}
