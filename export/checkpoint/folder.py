"""A folder as `save_pretrained` writes it: config.json, safetensors, and what describes tokenizer and processor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorgnette.device.errors import InputError
from lorgnette.export.checkpoint.json_file import read_json
from lorgnette.export.checkpoint.origin import FileHashes, Origin, read_licence
from lorgnette.export.checkpoint.tensors import INDEX, SINGLE, open_tensors
from lorgnette.export.llama import FloatArray, WeightsFormatError

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
# What tells the kind of a model: transformers' two ways, and nanoVLM's config, which has neither.
_KIND = ("model_type", "architectures", "vit_hidden_dim")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`config` is config.json; `tensors` gives float32 arrays under the names in the file, read when asked for.

    `described` are the texts of the files beside the weights, by their names, where these are not in the folder: a
    GGUF file holds all of them.
    """

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, FloatArray]
    origin: Origin
    described: Mapping[str, str] | None = None

    def text(self, name: str) -> str | None:
        """A file beside the weights; None where there is none."""
        if self.described is not None:
            return self.described.get(name)
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.exists() else None


def open_folder(folder: Path) -> Checkpoint:
    """Open the checkpoint in `folder`: reads config.json and the headers of the weights.

    Raises `InputError` if there is no such folder or it holds no checkpoint that may be read, and `WeightsFormatError`
    if a file is missing or damaged.
    """
    if not folder.is_dir():
        wrong = "is a file" if folder.exists() else "is not there"
        raise InputError(f"{folder} {wrong}", "give the folder that `save_pretrained` wrote")
    names = [path.name for path in folder.iterdir()]
    if CONFIG not in names:
        if ADAPTER_CONFIG in names:
            raise InputError(f"{folder} holds a LoRA adapter", "give its base model as the source and this with --lora")
        raise InputError(f"{folder} has no {CONFIG}", "give the folder that `save_pretrained` wrote")
    check_weight_names(str(folder), names)
    config = read_json(folder / CONFIG)
    if not any(config.get(name) for name in _KIND):
        raise WeightsFormatError(
            f"{folder / CONFIG} names neither model_type nor architectures", "give the folder of a transformers model"
        )
    tensors = open_tensors(folder)
    files = FileHashes(tensors.files)
    return Checkpoint(folder, config, tensors, Origin(str(folder), "", read_licence(folder / "README.md"), files))


def check_weight_names(where: str, names: Iterable[str]) -> None:
    """Raises `InputError` if none of the file `names` at `where` holds weights that may be read."""
    found = sorted(names, key=lambda name: (not name.startswith("pytorch_model"), name))
    if SINGLE in found or INDEX in found:
        return
    pickled = [name for name in found if name.endswith(_PICKLES)]
    if pickled:
        raise InputError(
            f"{where} holds only pickled weights ({pickled[0]}), which can run code when they are read",
            "load the model in a sandbox and write it with `save_pretrained(FOLDER, safe_serialization=True)`",
        )
    raise InputError(f"{where} has no weights: neither {SINGLE} nor {INDEX}", "fetch the whole checkpoint")
