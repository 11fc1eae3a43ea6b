"""Where handed-over bytes come from: a file, or standard input when the name is `-`."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import BinaryIO

from lorgnette.device.errors import InputError

STDIN = "-"

STREAM_LIMIT_BYTES = 64 * 2**20
"""Standard input and pipes have no size to check beforehand and go into memory: no more than this is taken."""


def source_name(source: str | Path) -> str:
    """What to call `source` when speaking to a person."""
    return "standard input" if str(source) == STDIN else str(source)


def open_source(source: str | Path, kind: str, limit_bytes: int) -> BinaryIO:
    """Open `source` for reading, seekable, after the checks that give a clear line.

    A file is opened where it lies; standard input and pipes are read into memory. `kind` ("picture", "recording") is
    what the errors call it. Raises InputError for a missing, unreadable, empty or larger file, or a folder.
    """
    name = source_name(source)
    if str(source) == STDIN:
        return _in_memory(sys.stdin.buffer, name, kind, limit_bytes)
    path = Path(source)
    try:
        if path.is_dir():
            raise InputError(f"{name} is a folder, not a {kind}", "name one file")
        stream = path.open("rb")
        if not path.is_file():
            with stream:
                return _in_memory(stream, name, kind, limit_bytes)
        _check_size(path.stat().st_size, name, kind, limit_bytes)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {name}", "check the path") from error
    except PermissionError as error:
        raise InputError(f"{name} may not be read", "check its permissions") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InputError(f"{name} cannot be read: {error}", "check the path") from error
    return stream


def read_source(source: str | Path, kind: str, limit_bytes: int) -> bytes:
    """All bytes of `source`; errors as in `open_source`."""
    with open_source(source, kind, limit_bytes) as stream:
        try:
            return stream.read()
        except OSError as error:
            raise InputError(f"{source_name(source)} cannot be read: {error}", "check the disk") from error


def _in_memory(stream: BinaryIO, name: str, kind: str, limit_bytes: int) -> BinaryIO:
    limit_bytes = min(limit_bytes, STREAM_LIMIT_BYTES)
    data = stream.read(limit_bytes + 1)
    _check_size(len(data), name, kind, limit_bytes)
    return io.BytesIO(data)


def _check_size(size: int, name: str, kind: str, limit_bytes: int) -> None:
    if size == 0:
        raise InputError(f"{name} is empty (zero bytes)", f"give a {kind}")
    if size > limit_bytes:
        raise InputError(f"{name} is larger than {limit_bytes // 2**20} MiB", f"give a smaller {kind}")
