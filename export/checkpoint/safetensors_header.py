"""The header of a safetensors file: which tensors it holds and where. Reads none of the data.

The format (safetensors' README): 8 bytes little-endian length n, n bytes of JSON, and the tensors without holes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorgnette.export.llama import WeightsFormatError

_LARGEST_HEADER = 100_000_000  # bytes, as in the safetensors library
_ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}
_FETCH = "fetch the file again"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies: `offset` and `size` in bytes of `file`. `dtype` is the format's word ("BF16")."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of the file at `path`, by name, in the order of their data.

    Raises `WeightsFormatError` if the file cannot be read, is no safetensors file, or is longer or shorter than its
    header says.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            actual = path.stat().st_size
            if actual < 8:
                raise WeightsFormatError(f"{path} is cut short: it has only {actual} bytes", _FETCH)
            if length > _LARGEST_HEADER:
                stream.seek(0)
                if b"git-lfs" in stream.read(40):
                    raise WeightsFormatError(f"{path} is a Git LFS pointer, not the weights", "run `git lfs pull`")
                raise WeightsFormatError(f"{path} is no safetensors file", _FETCH)
            text = stream.read(length)
    except OSError as error:
        raise WeightsFormatError(f"cannot read {path}: {error.strerror}", _FETCH) from error
    start = 8 + length
    if len(text) < length:
        raise WeightsFormatError(f"{path} is cut short: it has {actual} bytes and should have over {start}", _FETCH)
    try:
        entries = json.loads(text, object_pairs_hook=_without_twins)
        tensors = {name: _tensor(path, name, entry, start) for name, entry in entries.items() if name != "__metadata__"}
    except KeyError as error:
        raise WeightsFormatError(f"the header of {path} lacks {error.args[0]!r} of a tensor", _FETCH) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsFormatError(f"the header of {path} cannot be read: {error}", _FETCH) from error
    in_order = dict(sorted(tensors.items(), key=lambda item: (item[1].offset, item[1].size)))
    end = start
    for name, tensor in in_order.items():
        if tensor.offset != end:
            raise WeightsFormatError(f"the header of {path} is wrong: {name} does not follow its neighbour", _FETCH)
        end += tensor.size
    if actual < end:
        raise WeightsFormatError(f"{path} is cut short: it has {actual} bytes and should have {end}", _FETCH)
    if actual > end:
        raise WeightsFormatError(f"{path} is too long: it has {actual} bytes and should have {end}", _FETCH)
    return in_order


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name appears twice")
    return entries


def _tensor(path: Path, name: str, entry: dict[str, Any], start: int) -> StoredTensor:
    dtype, shape, (first, last) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, first, last)) or last < first:
        raise ValueError(f"{name} has no proper shape and place")
    if dtype in _ITEM_BYTES and math.prod(shape) * _ITEM_BYTES[dtype] != last - first:
        raise ValueError(f"{name} is {dtype} {list(shape)} and has {last - first} bytes")
    return StoredTensor(path, str(dtype), shape, start + first, last - first)
