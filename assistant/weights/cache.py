"""Where weights lie on this machine, and the stamp that says they were checked.

    <root>/weights/<name>/...             finished: a folder appears here in one rename, with its stamp inside
    <root>/weights/<name>/.stamp.json     size and time of each file when its SHA-256 was last found right
    <root>/partial/<name>/                what a pull has so far
    <root>/locks/<name>.lock              held while a weight is pulled, checked or removed

The stamp is what makes a start quick: nothing is hashed while sizes and times are as they were.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from lorgnette.assistant.weights.catalogue import WeightFile
from lorgnette.assistant.weights.digest import is_whole

_STAMP = ".stamp.json"


def cache_folder() -> Path:
    """LORGNETTE_CACHE, or the platform's cache folder for this program."""
    override = os.environ.get("LORGNETTE_CACHE")
    return Path(override).expanduser() if override else platformdirs.user_cache_path("lorgnette", appauthor=False)


def write_stamp(folder: Path, files: tuple[WeightFile, ...], origin: str) -> None:
    """Records that `files`, which lie in `folder`, have just been found whole."""
    seen = {f.path: {"sha256": f.sha256, "size": f.size, "mtime_ns": _mtime(folder / f.path)} for f in files}
    half = folder / f"{_STAMP}.part"
    half.write_text(json.dumps({"origin": origin, "files": seen}, indent=2), "utf-8")
    half.replace(folder / _STAMP)


def remove_stamp(folder: Path) -> None:
    """Makes the next look check every byte."""
    (folder / _STAMP).unlink(missing_ok=True)


def stamped_origin(folder: Path) -> str:
    """Where the files in `folder` came from ("" when nobody knows)."""
    return str(_read(folder).get("origin", ""))


def is_stamped(folder: Path, files: tuple[WeightFile, ...]) -> bool:
    """Whether `files` were checked in `folder` and have not been touched since (no hashing: size and time only)."""
    seen = _read(folder).get("files")
    if not isinstance(seen, dict) or set(seen) != {file.path for file in files}:
        return False
    for file in files:
        record, path = seen[file.path], folder / file.path
        if record != {"sha256": file.sha256, "size": file.size, "mtime_ns": _mtime(path)}:
            return False
        if path.stat().st_size != file.size:
            return False
    return True


def damaged_files(folder: Path, files: tuple[WeightFile, ...]) -> list[str]:
    """The paths among `files` that are missing from `folder` or not what they should be, byte for byte."""
    return [file.path for file in files if not is_whole(folder / file.path, file)]


def _read(folder: Path) -> Mapping[str, object]:
    try:
        stamp = json.loads((folder / _STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # no stamp, or not one of ours: then the files have to prove themselves
    return stamp if isinstance(stamp, dict) else {}


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1
