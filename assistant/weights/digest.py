"""Writing and checking files so that a half-written one is never believed."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from lorgnette.assistant.weights.catalogue import WeightFile, WeightsError

_BLOCK = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_whole(path: Path, file: WeightFile) -> bool:
    """Whether `path` is `file` to the last bit."""
    return path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def write_checked(blocks: Iterable[bytes], target: Path, file: WeightFile, origin: str) -> None:
    """Writes `blocks` beside `target`, checks size and SHA-256, syncs, and only then gives the file its name.

    Raises WeightsError on a mismatch (nothing is left behind) and OSError as the disk gives it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(target.name + ".part")
    digest, size = hashlib.sha256(), 0
    try:
        with half.open("wb") as stream:
            for block in blocks:
                size += len(block)
                if size > file.size:
                    break  # an archive member may unpack to far more than it says
                digest.update(block)
                stream.write(block)
            stream.flush()
            os.fsync(stream.fileno())
        if size != file.size:
            raise WeightsError(f"{file.path} from {origin} is not {file.size} bytes long")
        if digest.hexdigest() != file.sha256:
            raise WeightsError(f"{file.path} from {origin} has SHA-256 {digest.hexdigest()}, not {file.sha256}")
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)


def read_blocks(path: Path) -> Iterable[bytes]:
    """A file's bytes, a mebibyte at a time."""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def refuse_disk(error: OSError, folder: Path) -> NoReturn:
    """Raises the WeightsError that says what the disk has against us."""
    if error.errno in _NO_ROOM:
        raise WeightsError(
            f"no room left for weights in {folder}", "free some space, or set LORGNETTE_CACHE to another disk"
        ) from error
    raise WeightsError(f"cannot write weights to {folder}: {error.strerror or error}", "set LORGNETTE_CACHE") from error
