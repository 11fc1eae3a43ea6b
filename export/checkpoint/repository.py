"""What a hub repository holds at a revision, and which of it an exporter needs."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorgnette.device.download import first_line
from lorgnette.device.errors import LorgnetteError
from lorgnette.export.checkpoint.folder import check_weight_names
from lorgnette.export.checkpoint.tensors import INDEX, SINGLE
from lorgnette.llm.bundle import hash_file

_TIMEOUT_S = 30.0
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@(.+))?")
_SHARDS = "model-*.safetensors"
# Beside config and weights: tokenizer, processor, chat template, and who is to be thanked. Top level only.
_WANTED = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "README.md", "LICENSE*", "NOTICE*")


class HubError(LorgnetteError):
    """A repository or a revision cannot be had from the hub."""


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """One file: `size` in bytes, and its SHA-256 (LFS) or else its git blob id, both in hexadecimal."""

    name: str
    size: int
    sha256: str
    blob: str

    def is_whole(self, path: Path) -> bool:
        """Whether `path` is this file to the last bit."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        if self.sha256:
            return hash_file(path) == self.sha256
        # Only small files are not in LFS. Git hashes a file with its length before it.
        return hashlib.sha1(b"blob %d\0" % self.size + path.read_bytes()).hexdigest() == self.blob


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at `commit`: the files of it that somebody asked for."""

    name: str
    commit: str
    files: tuple[RepositoryFile, ...]


def named_repository(text: str) -> tuple[str, str | None] | None:
    """The name and the revision in `text` ("org/name" or "org/name@revision"); None where it is no such name."""
    found = _NAME.fullmatch(text)
    return None if found is None or "--" in text or ".." in text else (found[1], found[2])


def hub_endpoint() -> str | None:
    """The hub that HF_ENDPOINT names; None for the usual one."""
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def look_up(repo: str, revision: str | None, endpoint: str | None) -> Repository:
    """What an exporter needs of `repo`, as `list_repository` gives it. Raises `InputError` too, if there are no weights
    in safetensors."""

    def choose(names: Sequence[str]) -> list[str]:
        check_weight_names(f"the repository {repo}", names)
        return [name for name in names if _is_wanted(name, names)]

    return list_repository(repo, revision, endpoint, choose)


def list_repository(
    repo: str, revision: str | None, endpoint: str | None, choose: Callable[[Sequence[str]], Sequence[str]]
) -> Repository:
    """Ask the hub at `endpoint` (None for its usual address) what `repo` holds at `revision` (None for the newest), and
    keep what `choose` takes of the names.

    Raises `HubError` if it cannot be reached, has no such repository or revision, or does not let us in.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        info = HfApi(endpoint=endpoint).model_info(repo, revision=revision, files_metadata=True, timeout=_TIMEOUT_S)
    except (HTTPError, OSError, ValueError, TypeError, KeyError) as error:
        raise explain(error, repo, revision) from error
    siblings = info.siblings or []
    wanted = choose([sibling.rfilename for sibling in siblings])
    if info.sha is None or not info.sha.isalnum():
        raise HubError(f"the hub does not say which commit of {repo} this is", "try again later")
    files = []
    for sibling in siblings:
        if sibling.rfilename not in wanted:
            continue
        sha256, blob = sibling.lfs.sha256 if sibling.lfs else "", sibling.blob_id or ""
        if sibling.size is None or not (sha256 or blob):
            raise HubError(f"the hub gives no size or hash for {sibling.rfilename} of {repo}", "try again later")
        files.append(RepositoryFile(sibling.rfilename, sibling.size, sha256, blob))
    return Repository(repo, info.sha, tuple(files))


def explain(error: BaseException | None, repo: str, revision: str | None) -> HubError:
    """What an exception of the hub library means for somebody who wants `repo`."""
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match error:
        case GatedRepoError():
            return HubError(f"{repo} is gated", "ask for access on its page, then set HF_TOKEN to your token")
        case RevisionNotFoundError():
            return HubError(f"{repo} has no revision {revision}", "give a branch, a tag or a commit")
        case RepositoryNotFoundError():
            return HubError(f"there is no repository {repo}", "check the name; if it is private, set HF_TOKEN")
        case HfHubHTTPError() if error.response.status_code in (401, 403):
            return HubError(f"the hub does not let you read {repo}", "check HF_TOKEN")
        case HfHubHTTPError():
            return HubError(f"the hub cannot give {repo}: {first_line(error)}", "try again later")
        case HTTPError() | ConnectionError():
            return HubError(
                f"cannot reach the hub for {repo}: {first_line(error)}",
                "check the connection; a copy that is here already is used with HF_HUB_OFFLINE=1",
            )
        case Exception():
            return HubError(
                f"the hub's answer for {repo} makes no sense: {first_line(error)}", "try again; check HF_ENDPOINT"
            )
    return HubError(f"{repo} cannot be fetched", "try again later")


def _is_wanted(name: str, names: Sequence[str]) -> bool:
    if "/" in name or "\\" in name or name.startswith("."):
        return False
    if name == INDEX or fnmatch.fnmatchcase(name, _SHARDS):
        return SINGLE not in names  # with both, the single file is read and the shards are not
    return name == SINGLE or any(fnmatch.fnmatchcase(name, pattern) for pattern in _WANTED)
