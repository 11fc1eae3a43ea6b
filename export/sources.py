"""What a bundle is made of, and whether one that exists was made of the same.

Imports no ONNX, GGUF or numpy, so that asking "is the bundle ready?" costs a question nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorgnette.llm.bundle import BundleError, ModelBundle, hash_file

# Part of the hash that decides whether a bundle is up to date: raise it with every change of what is written.
BUILDER = "embedded-8"


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that the embedded model is made of: language model, image encoder, connector with low-rank updates."""

    gguf: Path
    encoder: Path
    adapter: Path


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """SHA-256 of each source file, and of all that decides what is built."""

    gguf: str
    encoder: str
    adapter: str
    inputs: str


def fingerprint(sources: Sources, precisions: Sequence[str], memory: Path | None = None) -> Fingerprint:
    """Hash the sources. `memory` is a file where hashes are remembered by path, size and time of change.

    Raises `BundleError` if a source cannot be read.
    """
    remembered = _recall(memory)
    try:
        keys = [_key(path) for path in (sources.gguf, sources.encoder, sources.adapter)]
        hashes = [remembered.get(key) or hash_file(Path(key.rsplit("|", 2)[0])) for key in keys]
    except OSError as error:
        raise BundleError(f"cannot read the weights: {error}", "fetch them with `lorgnette models pull`") from error
    found = dict(zip(keys, hashes, strict=True))
    if memory is not None and found != remembered:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(found), encoding="utf-8")
    inputs = hashlib.sha256(json.dumps([BUILDER, list(precisions), hashes]).encode()).hexdigest()
    return Fingerprint(hashes[0], hashes[1], hashes[2], inputs)


def is_current(folder: Path, inputs: str) -> bool:
    """Whether `folder` holds a whole bundle made from these inputs."""
    try:
        return ModelBundle.open(folder).inputs == inputs
    except BundleError:
        return False


def _key(path: Path) -> str:
    status = path.stat()
    return f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"


def _recall(memory: Path | None) -> dict[str, str]:
    if memory is None:
        return {}
    try:
        remembered = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return remembered if isinstance(remembered, dict) else {}
