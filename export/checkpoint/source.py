"""What a person names as the source of an export: a folder, a GGUF file, or a repository on the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lorgnette.device.errors import InputError
from lorgnette.export.checkpoint.folder import ADAPTER_CONFIG, Checkpoint, open_folder
from lorgnette.export.checkpoint.gguf_file import SUFFIX, open_gguf
from lorgnette.export.checkpoint.hub import FetchProgress, fetch_repository
from lorgnette.export.checkpoint.lora import with_lora
from lorgnette.export.checkpoint.lora_adapter import ADAPTER_WEIGHTS
from lorgnette.export.checkpoint.origin import FileHashes
from lorgnette.export.checkpoint.repository import named_repository


def open_checkpoint(
    source: str, *, revision: str | None, lora: Path | None, cache: Path, progress: FetchProgress
) -> Checkpoint:
    """Open a folder or a GGUF file on this machine, or fetch `org/name` or `org/name@revision` into `cache`; then merge
    `lora`.

    A folder wins over a repository of the same name. Raises `InputError`, `HubError` or `WeightsFormatError`.
    """
    folder = Path(source).expanduser()
    named = named_repository(source)
    if folder.exists():
        is_file = folder.suffix == SUFFIX and folder.is_file()
        if revision is not None:
            kind = "file" if is_file else "folder"
            raise InputError(f"{source} is a {kind} on this machine, which has no revisions", "leave --revision out")
        checkpoint = open_gguf(folder) if is_file else open_folder(folder)
        checkpoint = replace(checkpoint, origin=replace(checkpoint.origin, name=source))
    elif named is not None:
        repo, at = named
        if at is not None and revision not in (None, at):
            raise InputError(f"{source} names another revision than {revision}", "give the revision once")
        fetched, commit = fetch_repository(repo, at or revision, cache, progress)
        checkpoint = open_folder(fetched)
        checkpoint = replace(checkpoint, origin=replace(checkpoint.origin, name=repo, revision=commit))
    else:
        raise InputError(
            f"{source} is neither a folder or GGUF file on this machine nor a repository",
            "write org/name, a path, or embedded",
        )
    return checkpoint if lora is None else _merged(checkpoint, lora)


def _merged(checkpoint: Checkpoint, lora: Path) -> Checkpoint:
    tensors = with_lora(checkpoint.tensors, lora)
    weights = [checkpoint.folder / name for name in checkpoint.origin.files]
    files = FileHashes([*weights, lora / ADAPTER_CONFIG, lora / ADAPTER_WEIGHTS])
    return replace(checkpoint, tensors=tensors, origin=replace(checkpoint.origin, files=files, lora=str(lora)))
