"""Checkpoints from a hub, kept on this machine so that a revision which is here needs no network.

<cache>/<org>--<name>/<commit>/             finished: a folder appears here in one rename, with its stamp inside
<cache>/<org>--<name>/<commit>.partial/     what a fetch has so far; files are resumed
<cache>/<org>--<name>/refs/<revision>       the commit that a branch or tag was when we last asked
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from filelock import FileLock, Timeout

from lorgnette.device.download import DownloadError, Report, resume_download
from lorgnette.export.checkpoint.json_file import read_json
from lorgnette.export.checkpoint.repository import (
    HubError,
    Repository,
    RepositoryFile,
    explain,
    hub_endpoint,
    look_up,
)
from lorgnette.export.llama import WeightsFormatError

_STAMP = ".complete.json"
_NEWEST = "main"


class FetchProgress(Protocol):
    """Shows transfers and says things; `assistant.weights.progress` has one for terminals and a silent one."""

    def transfer(self, label: str, total_bytes: int) -> AbstractContextManager[Report]: ...

    def say(self, text: str) -> None: ...


def fetch_repository(repo: str, revision: str | None, cache: Path, progress: FetchProgress) -> tuple[Path, str]:
    """The folder with `repo` ("org/name") at a branch, tag or commit (None: the newest), and the commit it is.

    Fetches what an exporter needs and is not there yet; every file is checked against the hub's hash. HF_ENDPOINT,
    HF_TOKEN and HF_HUB_OFFLINE are honoured. Raises `HubError` if it cannot be had, or the disk has no room for it,
    and `InputError` if it has no weights in safetensors.
    """
    home = cache / repo.replace("/", "--")
    wanted = revision or _NEWEST
    commit = wanted if re.fullmatch(r"[0-9a-f]{40}", wanted) else _remembered(home, wanted) if _is_offline() else ""
    if commit and _is_complete(home / commit):
        return home / commit, commit
    if _is_offline():
        raise HubError(f"{repo} at {wanted} is not in {cache}", "unset HF_HUB_OFFLINE to fetch it")
    endpoint = hub_endpoint()
    repository = look_up(repo, revision, endpoint)
    folder = home / repository.commit
    try:
        with _alone(home, progress):
            if not _is_complete(folder):
                _fetch(repository, folder, endpoint, progress)
            _remember(home, wanted, repository.commit)
    except OSError as error:
        raise HubError(
            f"cannot keep {repo} in {cache}: {error.strerror or error}", "free some space, or use another disk"
        ) from error
    return folder, repository.commit


def _fetch(repository: Repository, folder: Path, endpoint: str | None, progress: FetchProgress) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    if folder.exists():  # somebody touched it: keep what is still whole
        shutil.rmtree(partial, ignore_errors=True)
        folder.replace(partial)
    partial.mkdir(exist_ok=True)
    missing = [file for file in repository.files if not file.is_whole(partial / file.name)]
    have = sum(path.stat().st_size for path in partial.glob("*.incomplete"))
    needed, free = sum(file.size for file in missing) - have, shutil.disk_usage(partial).free
    if needed > free:
        raise HubError(
            f"{repository.name} needs {needed / 1e6:.1f} MB in {folder.parent} and {free / 1e6:.1f} MB are free",
            "free some space, or use another disk",
        )
    for file in missing:
        _fetch_file(repository, file, partial, endpoint, progress)
    stamp = {"repository": repository.name, "files": {file.name: file.size for file in repository.files}}
    (partial / _STAMP).write_text(json.dumps(stamp, indent=2), encoding="utf-8")
    partial.replace(folder)


def _fetch_file(
    repository: Repository, file: RepositoryFile, partial: Path, endpoint: str | None, progress: FetchProgress
) -> None:
    from huggingface_hub import hf_hub_url

    half = partial / f"{file.name}.incomplete"
    url = hf_hub_url(repository.name, file.name, revision=repository.commit, endpoint=endpoint)
    try:
        with progress.transfer(f"{repository.name} {file.name}", file.size) as report:
            resume_download(url, half, file.size, report)
    except DownloadError as error:
        raise explain(error.__cause__, repository.name, repository.commit) from error
    if not file.is_whole(half):
        half.unlink()
        raise HubError(f"{file.name} of {repository.name} came in with another hash than the hub lists", "try again")
    half.replace(partial / file.name)


def _is_complete(folder: Path) -> bool:
    """Whether all files are there in their sizes. Nothing is hashed: a folder gets its name when all have been."""
    try:
        files = read_json(folder / _STAMP).get("files")
    except WeightsFormatError:
        return False  # not one of our stamps: the files have to prove themselves
    if not isinstance(files, dict) or not files:
        return False
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in files.items())


def _remembered(home: Path, revision: str) -> str:
    try:
        return (home / "refs" / quote(revision, safe="")).read_text(encoding="utf-8")
    except OSError:
        return ""


def _remember(home: Path, revision: str, commit: str) -> None:
    half = home / "refs" / f"{quote(revision, safe='')}.part"
    half.parent.mkdir(exist_ok=True)
    half.write_text(commit, encoding="utf-8")
    half.replace(half.with_suffix(""))


def _is_offline() -> bool:
    # The hub library reads this once, when it is imported, and refuses requests by itself from then on.
    return (os.environ.get("HF_HUB_OFFLINE") or "").upper() in {"1", "ON", "YES", "TRUE"}


@contextmanager
def _alone(home: Path, progress: FetchProgress) -> Iterator[None]:
    """Holds the repository's lock, which the system frees even if we are killed."""
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.say(f"waiting for another lorgnette, which is busy with {home.name}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
