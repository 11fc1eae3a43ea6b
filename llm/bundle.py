"""A model bundle: a folder of ONNX sessions, a tokenizer and the manifest that says how to use them.

Every fact about a model lives in `manifest.json` (`Manifest`) and nowhere in code. `ModelBundle.open` is the only way
in: whatever it returns has all its files, of the right size and content, and a manifest with every field.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import string
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from lorgnette.device.errors import LorgnetteError
from lorgnette.llm.manifest import SPEC, BundleFile, Manifest, Preprocessing, PromptTemplate
from lorgnette.llm.manifest_reader import ManifestError, read_record

MANIFEST = "manifest.json"
STAMP = ".verified.json"
_REBUILD = "build it again with `lorgnette export embedded --force`, or fetch it again"


class BundleError(LorgnetteError):
    """A bundle folder is missing, incomplete, changed, or of a spec that this version does not read."""


@dataclass(frozen=True, slots=True)
class ModelBundle(Manifest):
    """An opened bundle: its manifest, and the folder where it lies."""

    folder: Path

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False) -> ModelBundle:
        """Read and check the bundle in `folder`.

        Sizes are always compared. Content is hashed once: a stamp beside the manifest remembers size and time of the
        files that were found right, so that a later open costs no reading; `verify=True` hashes regardless. Raises
        `BundleError`.
        """
        record = read_manifest(folder)
        bundle = cls(folder=folder, **{field.name: getattr(record, field.name) for field in fields(record)})
        bundle._check_consistent()
        _check_files(folder, bundle.files, verify)
        return bundle

    def path(self, role: str, suffix: str | None = None) -> Path:
        """The file of a session ("vision_encoder", "embed_tokens", "decoder_model_merged") or of "tokenizer".

        `suffix` asks for a precision, else the bundle's own choice is taken. Raises `BundleError` if it is not there.
        """
        wanted = self.default_suffix.get(role, "") if suffix is None else suffix
        for file in self.files:
            if file.role == role and file.suffix == wanted:
                return self.folder / file.name
        have = ", ".join(repr(file.suffix) for file in self.files if file.role == role) or "none"
        raise BundleError(f"bundle {self.folder} has no {role} with suffix {wanted!r}", f"it has: {have}")

    def write_manifest(self) -> None:
        """Write `manifest.json` into the folder and stamp the files as right (the builder has just hashed them)."""
        record = {key: value for key, value in asdict(self).items() if key != "folder"}
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        (self.folder / MANIFEST).write_text(text, encoding="utf-8")
        _write_stamp(self.folder, self.files)

    def _check_consistent(self) -> None:
        sees = ("vision_encoder",) if self.preprocessing else ()
        for role in (*sees, "embed_tokens", "decoder_model_merged", "tokenizer"):
            self.path(role)
        problem = _picture_problem(self.preprocessing, self.prompt) or _text_problem(self.prompt)
        if problem:
            raise BundleError(f"bundle {self.folder}: {problem}", _REBUILD)


def _picture_problem(preprocessing: Preprocessing | None, prompt: PromptTemplate) -> str:
    if preprocessing is None:
        return "it has an image_token and no preprocessing" if prompt.image_token else ""
    channels = len(preprocessing.channels)
    if len(preprocessing.mean) != channels or len(preprocessing.std) != channels:
        return f"mean and std need {channels} values each"
    if 0.0 in preprocessing.std:
        return "std may not be 0"
    if _named_fields(prompt.whole) != ["image"]:
        return "whole must name {image} once"
    if preprocessing.max_tiles > 1:
        return _tile_problem(preprocessing.tiling == "scaled", prompt)
    return ""


def _tile_problem(whole_last: bool, prompt: PromptTemplate) -> str:
    whole, other = "whole_after_tiles", "whole_before_tiles"
    if not whole_last:
        whole, other = other, whole
    if _named_fields(prompt.tile) != ["column", "image", "row"] or _named_fields(getattr(prompt, whole)) != ["image"]:
        return f"tile must name {{row}}, {{column}} and {{image}} once each, {whole} {{image}}"
    return f"{other} must be empty: the tiling puts the whole elsewhere" if getattr(prompt, other) else ""


def _text_problem(prompt: PromptTemplate) -> str:
    if not prompt.takes_text:
        return "text_heading and no_text need a text_line" if prompt.text_heading or prompt.no_text else ""
    named = _named_fields(prompt.text_line)
    return "" if named == ["place", "text"] else "text_line must name {text} and {place} once each"


def _named_fields(template: str) -> list[str] | None:
    """Names of the fields of a format text, sorted; None where it is none."""
    try:
        return sorted(name for _, name, _, _ in string.Formatter().parse(template) if name is not None)
    except ValueError:
        return None


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """What the manifest in `folder` says, whether or not the files it lists are there. All of these lie inside the
    folder by their names. Raises `BundleError`."""
    try:
        manifest = read_record(Manifest, _read_json(folder), "manifest")
    except ManifestError as error:
        raise BundleError(f"bundle {folder}: {error}", _REBUILD) from error
    for file in manifest.files:
        if not _inside(file.name):
            raise BundleError(f"bundle {folder} lists a file outside itself: {file.name!r}", "do not use this bundle")
    return manifest


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise BundleError(f"no bundle at {folder}", "make one with `lorgnette export embedded --out FOLDER`")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is no bundle: it has no {MANIFEST}", _REBUILD) from error
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot read {path}: {error}", _REBUILD) from error
    if not isinstance(manifest, dict):
        raise BundleError(f"{path} does not hold a JSON object", _REBUILD)
    spec = manifest.get("spec")
    if spec != SPEC:
        hint = "update lorgnette" if isinstance(spec, int) and spec > SPEC else _REBUILD
        raise BundleError(f"bundle {folder} has spec {spec!r}, this version reads spec {SPEC}", hint)
    return manifest


def _check_files(folder: Path, files: tuple[BundleFile, ...], verify: bool) -> None:
    for file in files:
        path = folder / file.name
        if not path.is_file():
            raise BundleError(f"bundle {folder} lacks {file.name}", _REBUILD)
        if path.stat().st_size != file.size:
            raise BundleError(f"{path} has {path.stat().st_size} bytes, the manifest says {file.size}", _REBUILD)
    if not verify and _read_stamp(folder) == _stamp(folder, files):
        return
    for file in files:
        if hash_file(folder / file.name) != file.sha256:
            raise BundleError(f"{folder / file.name} does not have the hash that the manifest says", _REBUILD)
    _write_stamp(folder, files)


def _inside(name: str) -> bool:
    """Whether a file's name leads to a place in the folder, spelled the one way that a manifest may."""
    pure = PurePosixPath(name)
    return name == str(pure) and not pure.is_absolute() and ".." not in pure.parts and name != "." and "\\" not in name


def _stamp(folder: Path, files: tuple[BundleFile, ...]) -> dict[str, list[object]]:
    return {file.name: [file.size, (folder / file.name).stat().st_mtime_ns, file.sha256] for file in files}


def _read_stamp(folder: Path) -> object:
    try:
        return json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write_stamp(folder: Path, files: tuple[BundleFile, ...]) -> None:
    with contextlib.suppress(OSError):  # a bundle on a read-only disk is hashed at each open
        (folder / STAMP).write_text(json.dumps(_stamp(folder, files)), encoding="utf-8")
