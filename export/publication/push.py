"""A bundle into a hub repository: its files as they are, and a model card, in one commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lorgnette.device.download import first_line
from lorgnette.export.checkpoint.hub import FetchProgress
from lorgnette.export.checkpoint.repository import HubError, hub_endpoint
from lorgnette.export.publication.card import CARD, make_card
from lorgnette.export.verification.report import REPORT
from lorgnette.llm.bundle import MANIFEST, BundleError, ModelBundle

_BRANCH = "main"
_ATTEMPT = "lorgnette bundle push"


@dataclass(frozen=True, slots=True)
class Publication:
    """What a push uploads: a path on this machine or the content, by the name in the repository. `paths` are those of
    this machine that the bundle's provenance names, for everybody to read."""

    repository: str
    files: Mapping[str, Path | bytes]
    paths: tuple[str, ...]

    def size(self, name: str) -> int:
        content = self.files[name]
        return len(content) if isinstance(content, bytes) else content.stat().st_size

    @property
    def card(self) -> str:
        content = self.files[CARD]
        return (content if isinstance(content, bytes) else content.read_bytes()).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Pushed:
    """The commit that a push has made, its page, and what the repository holds beside the bundle."""

    commit: str
    url: str
    others: tuple[str, ...]


def prepare(folder: Path, repo: str) -> Publication:
    """Check every file of the bundle in `folder` against its hash and gather what `repo` ("org/name") is to hold: the
    files that the manifest lists, the manifest, and a model card, which is the folder's own README.md if it has one.
    Nothing else in the folder is uploaded. Raises `BundleError`.
    """
    bundle = ModelBundle.open(folder, verify=True)
    files: dict[str, Path | bytes] = {file.name: folder / file.name for file in bundle.files}
    files[MANIFEST] = folder / MANIFEST
    if (folder / CARD).is_file():
        files[CARD] = folder / CARD
    elif CARD not in files:
        files[CARD] = make_card(bundle, _report(bundle), repo).encode()
    return Publication(repo, files, _paths(bundle))


def _paths(bundle: ModelBundle) -> tuple[str, ...]:
    words = " ".join(bundle.provenance.get(name, "") for name in ("source", "command")).split()
    return tuple(dict.fromkeys(word for word in words if word.startswith(("/", "~/"))))


def _report(bundle: ModelBundle) -> dict[str, object] | None:
    path = bundle.folder / REPORT
    if not any(file.name == REPORT for file in bundle.files):
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{path} is not JSON: {error}", "export the model again with --force") from error
    return found if isinstance(found, dict) else None


def push_bundle(publication: Publication, branch: str | None, progress: FetchProgress, *, private: bool) -> Pushed:
    """Upload to a branch (None: main) in one commit; the repository and the branch are made if they are not there.

    Large files that an earlier try has uploaded are not sent again. HF_ENDPOINT, HF_TOKEN and the hub library's saved
    login are honoured. Raises `HubError`.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if not get_token():
        raise HubError("there is no token for the hub", "set HF_TOKEN to one that may write")
    api, repo, branch = HfApi(endpoint=hub_endpoint()), publication.repository, branch or _BRANCH
    with _told(repo):
        api.create_repo(repo, private=private or None, exist_ok=True)
        info = api.model_info(repo)
        if private and info.private is False:
            raise HubError(f"{repo} is there already and is public", "leave --private out, or choose another name")
        if branch != _BRANCH:
            api.create_branch(repo, branch=branch, exist_ok=True)
    operations = []
    for name in publication.files:
        content = publication.files[name]
        operation = CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        progress.say(f"{repo} {name} ({publication.size(name) / 1e6:.1f} MB)")
        with _told(repo):
            # Uploads files that the hub keeps apart from git, with the library's own bars; the others travel in the
            # commit.
            api.preupload_lfs_files(repo, [operation], revision=branch, free_memory=False)
        operations.append(operation)
    with _told(repo):
        commit = api.create_commit(
            repo, operations, commit_message=f"{_ATTEMPT}: {len(operations)} files", revision=branch
        )
        there = api.list_repo_files(repo, revision=commit.oid)
    others = tuple(name for name in there if name not in publication.files and name != ".gitattributes")
    return Pushed(commit.oid, commit.commit_url, others)


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Turns what the hub library raises into one line."""
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        BadRequestError,
        HfHubHTTPError,
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except (HTTPError, OSError, ValueError, RuntimeError) as raised:
        # The library wraps what went wrong with a single file.
        error = raised.__cause__ if isinstance(raised, RuntimeError) and raised.__cause__ is not None else raised
        match error:
            case RevisionNotFoundError():
                problem = HubError(f"{repo} has no such branch: {first_line(error)}", "give a branch, not a commit")
            case RepositoryNotFoundError():
                problem = HubError(f"the hub has no {repo} that this token may write to", "check HF_TOKEN and the name")
            case HfHubHTTPError() if error.response.status_code in (401, 403):
                problem = HubError(
                    f"the hub does not let you write to {repo}", "check HF_TOKEN: it has to be one that may"
                )
            case json.JSONDecodeError():
                problem = HubError(f"the hub's answer for {repo} makes no sense", "try again; check HF_ENDPOINT")
            case BadRequestError() | ValueError():
                problem = HubError(
                    f"the hub does not take it for {repo}: {_sentence(error)}", "check the name and README.md"
                )
            case HfHubHTTPError():
                problem = HubError(f"the hub did not take {repo}: {first_line(error)}", "try again later")
            case _:
                problem = HubError(
                    f"the upload to {repo} broke off: {first_line(error)}",
                    "run it again: what is there is not sent twice",
                )
        raise problem from raised


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split())
