"""Parsed JSON into frozen dataclasses, strictly: an unknown key, a missing key or a wrong type is named by its path."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


class ManifestError(ValueError):
    """The JSON does not have the shape of the record; the message starts with the dotted path of the place."""


def read_record(kind: type[Record], value: object, path: str) -> Record:
    """Build the dataclass `kind` from the JSON object `value`, found at `path`. Raises `ManifestError`.

    Fields may be str, int, float, bool, other dataclasses or such a one or None, `tuple[X, ...]` (a JSON list) or
    `Mapping[str, X]`; one with a default may be left out.
    """
    if not isinstance(value, dict):
        raise ManifestError(f"{path} must be an object")
    hints = get_type_hints(kind)
    optional = {field.name for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING}  # type: ignore[arg-type]
    unknown = sorted(set(value) - set(hints))
    missing = sorted(set(hints) - set(value) - optional)
    if unknown:
        raise ManifestError(f"{path}.{unknown[0]} is not known")
    if missing:
        raise ManifestError(f"{path}.{missing[0]} is missing")
    return kind(**{name: _read(hints[name], value[name], f"{path}.{name}") for name in hints if name in value})


def _read(hint: Any, value: object, path: str) -> object:
    origin = get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list):
            raise ManifestError(f"{path} must be a list")
        return tuple(_read(get_args(hint)[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise ManifestError(f"{path} must be an object")
        return {key: _read(get_args(hint)[1], item, f"{path}.{key}") for key, item in value.items()}
    if origin is UnionType:
        return None if value is None else _read(get_args(hint)[0], value, path)
    if dataclasses.is_dataclass(hint):
        return read_record(hint, value, path)  # type: ignore[arg-type]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is a subclass of int, and `true` is no size
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ManifestError(f"{path} must be {hint.__name__}, not {type(value).__name__}")
    return value
