"""A model bundle: a folder of ONNX sessions, a tokenizer and the manifest that says how to use them.

Every fact about a model lives in `manifest.json` (spec 2) and nowhere in code. `ModelBundle.open` is the only way in:
whatever it returns has all its files, of the right size and content, and a manifest with every field.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lorgnette.device.errors import LorgnetteError
from lorgnette.llm.manifest_reader import ManifestError, read_record

SPEC = 2
MANIFEST = "manifest.json"
STAMP = ".verified.json"
_REBUILD = "build it again with `lorgnette export embedded --force`, or fetch it again"


class BundleError(LorgnetteError):
    """A bundle folder is missing, incomplete, changed, or of a spec that this version does not read."""


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of the bundle. `role` is the session's name ("decoder_model_merged") or "tokenizer".

    `suffix` is the precision's file suffix as in transformers.js ("" is fp32, "_quantized" 8-bit). `size` in bytes.
    A file of role "data" holds tensors of the sessions beside it and is never opened by itself.
    """

    name: str
    role: str
    suffix: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes `pixel_values`: resize to `width` x `height` pixels, then (x - mean) / std per channel.

    `mean` and `std` are in 0..255 units, in the order of `channels`. `resize` is "squash" (the aspect ratio is not
    kept), `filter` is "area" (OpenCV's INTER_AREA). `layout` is "NCHW".
    """

    width: int
    height: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str
    filter: str
    layout: str
    channels: str


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The text around the picture and the question.

    A prompt is `before_image`, then `tokens_per_image` times `image_token_id` (a placeholder whose embedding rows the
    image features replace), then `after_image`, the question, `end_of_question`. The pieces hold special tokens and are
    tokenised with them; the question is a person's text and must be tokenised without. Tokenising piece by piece gives
    the same ids as the whole, as long as the question has no space around it. Generation ends at any of `stop_ids`.

    Where somebody has looked for writing in the picture, `after_image` is followed by `text_heading` and a `text_line`
    for each line, which names {text} and {place}, or by `no_text`. These three hold no special tokens and end with a
    line's end; all three are empty for a model that was not trained on them and takes no text.
    """

    before_image: str
    after_image: str
    text_heading: str
    text_line: str
    no_text: str
    end_of_question: str
    image_token_id: int
    tokens_per_image: int
    stop_ids: tuple[int, ...]

    @property
    def takes_text(self) -> bool:
        """Whether the model was trained to be told what is written in the picture."""
        return bool(self.text_line)


@dataclass(frozen=True, slots=True)
class DecoderGeometry:
    """Shapes of the decoder: `past_key_values.N.key` is [batch, kv_heads, past, head_dim] for N in 0..layers-1.

    `context` is the greatest number of positions, `hidden` the width of an embedding, `vocabulary` that of the logits.
    The runtime reads element types from the sessions.
    """

    layers: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocabulary: int
    context: int


@dataclass(frozen=True, slots=True)
class Part:
    """Weights that went into the bundle: what they are, under which licence, and the SHA-256 of the source file."""

    name: str
    licence: str
    source: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """An opened bundle. `default_suffix` names for each session the precision to run; `parity` holds measured figures.

    `confidence` are the coefficients that turn an answer's log-probabilities into a chance of being right (empty where
    nobody measured them).
    `builder` is the version of the code that wrote it, `inputs` the hash of everything that went in (two bundles with
    the same `inputs` are the same).
    """

    folder: Path
    name: str
    builder: str
    inputs: str
    files: tuple[BundleFile, ...]
    default_suffix: Mapping[str, str]
    preprocessing: Preprocessing
    prompt: PromptTemplate
    decoder: DecoderGeometry
    parts: tuple[Part, ...]
    parity: Mapping[str, float]
    confidence: Mapping[str, float]

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False) -> ModelBundle:
        """Read and check the bundle in `folder`.

        Sizes are always compared. Content is hashed once: a stamp beside the manifest remembers size and time of the
        files that were found right, so that a later open costs no reading; `verify=True` hashes regardless. Raises
        `BundleError`.
        """
        manifest = _read_manifest(folder)
        try:
            record = read_record(_Manifest, manifest, "manifest")
        except ManifestError as error:
            raise BundleError(f"bundle {folder}: {error}", _REBUILD) from error
        fields = {name: getattr(record, name) for name in record.__dataclass_fields__ if name != "spec"}
        bundle = cls(folder=folder, **fields)
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
        record = {"spec": SPEC} | {key: value for key, value in asdict(self).items() if key != "folder"}
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        (self.folder / MANIFEST).write_text(text, encoding="utf-8")
        _write_stamp(self.folder, self.files)

    def _check_consistent(self) -> None:
        for role in ("vision_encoder", "embed_tokens", "decoder_model_merged", "tokenizer"):
            self.path(role)
        channels = len(self.preprocessing.channels)
        if len(self.preprocessing.mean) != channels or len(self.preprocessing.std) != channels:
            raise BundleError(f"bundle {self.folder}: mean and std need {channels} values each", _REBUILD)
        if 0.0 in self.preprocessing.std:
            raise BundleError(f"bundle {self.folder}: std may not be 0", _REBUILD)
        prompt = self.prompt
        if not prompt.takes_text and (prompt.text_heading or prompt.no_text):
            raise BundleError(f"bundle {self.folder}: text_heading and no_text need a text_line", _REBUILD)
        if prompt.takes_text and _fields(prompt.text_line) != ["place", "text"]:
            raise BundleError(f"bundle {self.folder}: text_line must name {{text}} and {{place}} once each", _REBUILD)


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The shape of manifest.json; field for field as `ModelBundle`, with the spec and without the folder."""

    spec: int
    name: str
    builder: str
    inputs: str
    files: tuple[BundleFile, ...]
    default_suffix: Mapping[str, str]
    preprocessing: Preprocessing
    prompt: PromptTemplate
    decoder: DecoderGeometry
    parts: tuple[Part, ...]
    parity: Mapping[str, float]
    confidence: Mapping[str, float]


def _fields(template: str) -> list[str] | None:
    """Names of the fields of a format text, sorted; None where it is none."""
    try:
        return sorted(name for _, name, _, _ in string.Formatter().parse(template) if name is not None)
    except ValueError:
        return None


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any]:
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
        if Path(file.name).name != file.name or file.name in ("", ".", ".."):
            raise BundleError(f"bundle {folder} lists a file outside itself: {file.name!r}", "do not use this bundle")
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
