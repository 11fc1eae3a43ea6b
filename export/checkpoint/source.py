"""What a person names as the source of an export: a folder, or a repository on the hub."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lorgnette.device.errors import InputError
from lorgnette.export.checkpoint.folder import ADAPTER_CONFIG, Checkpoint, open_folder
from lorgnette.export.checkpoint.hub import FetchProgress, fetch_repository
from lorgnette.export.checkpoint.lora import with_lora
from lorgnette.export.checkpoint.lora_adapter import ADAPTER_WEIGHTS
from lorgnette.export.checkpoint.origin import FileHashes

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_REPOSITORY = re.compile(rf"({_PART}/{_PART})(?:@(.+))?")


def open_checkpoint(
    source: str, *, revision: str | None, lora: Path | None, cache: Path, progress: FetchProgress
) -> Checkpoint:
    """Open a folder on this machine, or fetch `org/name` or `org/name@revision` into `cache`; then merge `lora`.

    A folder wins over a repository of the same name. Raises `InputError`, `HubError` or `WeightsFormatError`.
    """
    folder = Path(source).expanduser()
    named = _REPOSITORY.fullmatch(source)
    if folder.exists():
        if revision is not None:
            raise InputError(f"{source} is a folder on this machine, which has no revisions", "leave --revision out")
        checkpoint = open_folder(folder)
        checkpoint = replace(checkpoint, origin=replace(checkpoint.origin, name=source))
    elif named is not None and "--" not in source and ".." not in source:
        if named[2] is not None and revision not in (None, named[2]):
            raise InputError(f"{source} names another revision than {revision}", "give the revision once")
        fetched, commit = fetch_repository(named[1], named[2] or revision, cache, progress)
        checkpoint = open_folder(fetched)
        checkpoint = replace(checkpoint, origin=replace(checkpoint.origin, name=named[1], revision=commit))
    else:
        raise InputError(f"{source} is neither a folder on this machine nor a repository", "write org/name, a path, or embedded")
    return checkpoint if lora is None else _merged(checkpoint, lora)


def _merged(checkpoint: Checkpoint, lora: Path) -> Checkpoint:
    tensors = with_lora(checkpoint.tensors, lora)
    weights = [checkpoint.folder / name for name in checkpoint.origin.files]
    files = FileHashes([*weights, lora / ADAPTER_CONFIG, lora / ADAPTER_WEIGHTS])
    return replace(checkpoint, tensors=tensors, origin=replace(checkpoint.origin, files=files, lora=str(lora)))
