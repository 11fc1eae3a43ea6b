"""A bundle from a hub repository: what its manifest lists, checked against the manifest, in place whole or not at all.

.<name>.pull/new/                   the bundle as far as it is there, every file of it whole
.<name>.pull/<sha256>.incomplete    a file on its way, which the next try goes on with
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lorgnette.device.download import DownloadError, Report, resume_download
from lorgnette.export.bundle_folder import check_place, locked, put_in_place
from lorgnette.export.checkpoint.hub import FetchProgress
from lorgnette.export.checkpoint.repository import (
    HubError,
    Repository,
    RepositoryFile,
    explain,
    hub_endpoint,
    list_repository,
)
from lorgnette.llm.bundle import MANIFEST, BundleError, ModelBundle, hash_file, read_manifest
from lorgnette.llm.manifest import BundleFile

_LARGEST_MANIFEST = 10_000_000  # bytes; ours have some thousands
_PUSH_AGAIN = "try again; if it stays so, the repository is damaged: push the bundle again"


@dataclass(frozen=True, slots=True)
class _Transfer:
    """Where files come from and go to: the commit of a repository, and the folder of a pull that may be resumed."""

    repository: Repository
    work: Path
    progress: FetchProgress

    @property
    def new(self) -> Path:
        return self.work / "new"

    @property
    def where(self) -> str:
        return f"{self.repository.name} at {self.repository.commit[:12]}"


def pull_bundle(repo: str, revision: str | None, out: Path, progress: FetchProgress) -> tuple[ModelBundle, str]:
    """Fetch the bundle in `repo` ("org/name") at a branch, tag or commit (None: the newest) to `out`; returns it with
    the commit. A bundle at `out` is replaced, and left alone if it is the same.

    HF_ENDPOINT and HF_TOKEN are honoured. Raises `HubError` if it cannot be had, and `BundleError` if the repository
    holds no bundle that this version reads, a file is not as its manifest says, or `out` cannot be written; `out` is
    then as it was.
    """
    check_place(out)
    repository = list_repository(repo, revision, hub_endpoint(), lambda names: names)
    listed = {file.name: file for file in repository.files}
    if MANIFEST not in listed:
        raise BundleError(f"{repo} holds no bundle: it has no {MANIFEST}", "put one there with `lorgnette bundle push`")
    with locked(out):
        try:
            transfer = _Transfer(repository, out.parent / f".{out.name}.pull", progress)
            transfer.new.mkdir(parents=True, exist_ok=True)
            _fetch_manifest(transfer, listed[MANIFEST])
            if not _is_same(transfer.new, out):
                _fetch_files(transfer, listed)
                ModelBundle.open(transfer.new)
                put_in_place(transfer.new, out)
            shutil.rmtree(transfer.work, ignore_errors=True)
        except OSError as error:
            raise BundleError(f"cannot write {out}: {error}", "free some space or use another folder") from error
    return ModelBundle.open(out), repository.commit


def _fetch_manifest(transfer: _Transfer, file: RepositoryFile) -> None:
    """Put the commit's manifest in the folder. It is small, and checked against the hub's hash."""
    if file.size > _LARGEST_MANIFEST:
        raise BundleError(f"{MANIFEST} of {transfer.where} is no bundle's: it has {file.size} bytes", "check the name")
    half = transfer.work / f"{MANIFEST}.incomplete"
    half.unlink(missing_ok=True)
    _download(transfer, MANIFEST, half, file.size)
    if not file.is_whole(half):
        raise HubError(f"{MANIFEST} of {transfer.where} came in with another hash than the hub lists", "try again")
    half.replace(transfer.new / MANIFEST)


def _is_same(new: Path, out: Path) -> bool:
    """Whether the bundle at `out` has the manifest in `new` and is whole."""
    try:
        if (out / MANIFEST).read_bytes() != (new / MANIFEST).read_bytes():
            return False
        ModelBundle.open(out)
    except (BundleError, FileNotFoundError):
        return False
    return True


def _fetch_files(transfer: _Transfer, listed: Mapping[str, RepositoryFile]) -> None:
    try:
        files = read_manifest(transfer.new).files
    except BundleError as error:
        said = error.message.replace(str(transfer.new), f"of {transfer.where}")
        raise BundleError(said, "pull another revision, or update lorgnette") from error
    for file in files:
        if not re.fullmatch("[0-9a-f]{64}", file.sha256):
            raise BundleError(f"the manifest of {transfer.where} has no hash for {file.name}", "do not use this bundle")
        found = listed.get(file.name)
        if found is None:
            raise BundleError(f"{transfer.where} lacks {file.name}, which its manifest lists", _PUSH_AGAIN)
        if found.size != file.size or found.sha256 not in ("", file.sha256):
            raise _differs(transfer, file)
    _remove_others(transfer.new, {MANIFEST, *(file.name for file in files)})
    missing = [file for file in files if not _is_whole(transfer.new / file.name, file)]
    have = sum(path.stat().st_size for path in transfer.work.glob("*.incomplete"))
    needed, free = sum(file.size for file in missing) - have, shutil.disk_usage(transfer.work).free
    if needed > free:
        raise BundleError(
            f"{transfer.where} needs {needed / 1e6:.1f} MB in {transfer.work.parent} and {free / 1e6:.1f} MB are free",
            "free some space or use another folder",
        )
    for file in missing:
        _fetch_file(transfer, file)


def _fetch_file(transfer: _Transfer, file: BundleFile) -> None:
    half = transfer.work / f"{file.sha256}.incomplete"
    with transfer.progress.transfer(f"{transfer.repository.name} {file.name}", file.size) as report:
        _download(transfer, file.name, half, file.size, report)
    if not _is_whole(half, file):
        half.unlink(missing_ok=True)
        raise _differs(transfer, file)
    target = transfer.new / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    half.replace(target)


def _differs(transfer: _Transfer, file: BundleFile) -> BundleError:
    return BundleError(f"{file.name} of {transfer.where} does not have the hash that its manifest says", _PUSH_AGAIN)


def _download(transfer: _Transfer, name: str, half: Path, size: int, report: Report = lambda done: None) -> None:
    from huggingface_hub import hf_hub_url

    repository = transfer.repository
    url = hf_hub_url(repository.name, name, revision=repository.commit, endpoint=hub_endpoint())
    if size == 0:  # nothing to ask for: a server answers a range of an empty file with an error
        half.touch()
        return
    try:
        resume_download(url, half, size, report)
    except DownloadError as error:
        raise explain(error.__cause__, repository.name, repository.commit) from error


def _is_whole(path: Path, file: BundleFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size and hash_file(path) == file.sha256


def _remove_others(folder: Path, names: set[str]) -> None:
    """Take out what a pull of another revision has left."""
    for parent, _, files in os.walk(folder):
        for path in (Path(parent, name) for name in files):
            if path.relative_to(folder).as_posix() not in names:
                path.unlink()
