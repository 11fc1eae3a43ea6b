"""Repositories from a hub, with real huggingface_hub against a local server."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from checkpoint_box import COMMIT, Hub, Quiet, safetensors
from filelock import FileLock

from lorgnette.device.errors import InputError, LorgnetteError
from lorgnette.export.checkpoint.folder import open_folder
from lorgnette.export.checkpoint.hub import fetch_repository
from lorgnette.export.checkpoint.repository import HubError

NEEDED = {
    "config.json",
    "model.safetensors",
    "README.md",
    "tokenizer.json",
    "chat_template.jinja",
    "merges.txt",
    "LICENSE",
}


def fetch(cache: Path, revision: str | None = None, repo: str = "org/tiny") -> Path:
    folder, commit = fetch_repository(repo, revision, cache, Quiet())
    assert commit == COMMIT
    return folder


def refusal(cache: Path, revision: str | None = None, repo: str = "org/tiny") -> LorgnetteError:
    with pytest.raises((HubError, InputError)) as refused:
        fetch_repository(repo, revision, cache, Quiet())
    assert "\n" not in str(refused.value)
    assert refused.value.hint
    return refused.value


def test_what_an_exporter_needs_is_fetched_and_nothing_else(hub: Hub, tmp_path: Path) -> None:
    progress = Quiet()
    folder, commit = fetch_repository("org/tiny", None, tmp_path, progress)
    assert folder == tmp_path / "org--tiny" / COMMIT and commit == COMMIT
    assert {path.name for path in folder.iterdir()} - {".complete.json"} == NEEDED
    assert {name for name, _ in hub.requests} == NEEDED
    assert "org/tiny model.safetensors" in progress.labels
    assert all((folder / name).read_bytes() == hub.files[name] for name in NEEDED)
    assert open_folder(folder).tensors["w"].shape == (2, 3)
    assert not list(tmp_path.rglob("*.partial")) + list(tmp_path.rglob("*.incomplete"))


def test_shards_are_fetched_with_their_index(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    shards = {f"model-0000{i}-of-00002.safetensors": {f"w{i}": np.ones(i, np.float32)} for i in (1, 2)}
    places = {tensor: shard for shard, arrays in shards.items() for tensor in arrays}
    hub.files["model.safetensors.index.json"] = json.dumps({"weight_map": places}).encode()
    hub.files |= {name: safetensors(arrays) for name, arrays in shards.items()}
    hub.lfs = frozenset(shards)
    assert set(open_folder(fetch(tmp_path)).tensors) == {"w1", "w2"}


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "refs/pr/1", COMMIT])
def test_a_revision_that_is_here_works_offline(
    hub: Hub, tmp_path: Path, revision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refs |= {"v1.0": COMMIT, "refs/pr/1": COMMIT}
    folder = fetch(tmp_path, revision)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert fetch(tmp_path, revision) == folder
    assert fetch(tmp_path, COMMIT) == folder
    refused = refusal(tmp_path, "other")
    assert "org/tiny at other is not in" in refused.message
    assert "HF_HUB_OFFLINE" in refused.hint


def test_a_commit_that_is_here_asks_nobody_and_a_branch_asks_once(hub: Hub, tmp_path: Path) -> None:
    fetch(tmp_path)
    hub.requests.clear()
    fetch(tmp_path)
    assert hub.requests == []
    hub.refs = {}
    fetch(tmp_path, COMMIT)
    assert "no revision main" in refusal(tmp_path, "main").message


def test_a_file_that_went_missing_is_fetched_again_and_alone(hub: Hub, tmp_path: Path) -> None:
    folder = fetch(tmp_path)
    (folder / "config.json").unlink()
    (folder / "README.md").write_bytes(b"x" * len(hub.files["README.md"]))
    hub.requests.clear()
    fetch(tmp_path, COMMIT)
    assert sorted(hub.requests) == [("README.md", 0), ("config.json", 0)]
    assert (folder / "README.md").read_bytes() == hub.files["README.md"]


def test_what_a_killed_fetch_left_is_resumed(hub: Hub, tmp_path: Path) -> None:
    partial = tmp_path / "org--tiny" / f"{COMMIT}.partial"
    partial.mkdir(parents=True)
    whole = hub.files["model.safetensors"]
    (partial / "model.safetensors.incomplete").write_bytes(whole[:50])
    (partial / "config.json").write_bytes(hub.files["config.json"])
    (partial / "merges.txt.incomplete").write_bytes(b"longer than it should be")
    folder = fetch(tmp_path)
    assert ("model.safetensors", 50) in hub.requests
    assert ("merges.txt", 0) in hub.requests
    assert "config.json" not in {name for name, _ in hub.requests}
    assert (folder / "model.safetensors").read_bytes() == whole


def test_a_cut_connection_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    # huggingface_hub writes 10 MiB at a time: a file must be longer than that to leave something to resume.
    whole = safetensors({"w": np.frombuffer(os.urandom(3 << 22), np.float32)})
    hub.files = {"model.safetensors": whole}
    hub.cut_after = 11 << 20
    assert (fetch(tmp_path) / "model.safetensors").read_bytes() == whole
    assert hub.requests == [("model.safetensors", 0), ("model.safetensors", 10 << 20)]


@pytest.mark.parametrize(("name", "key"), [("model.safetensors", "lfs"), ("config.json", "blobId")])
def test_other_bytes_than_listed_are_thrown_away(hub: Hub, tmp_path: Path, name: str, key: str) -> None:
    other = "0" * 40 if key == "blobId" else {"sha256": "0" * 64, "size": len(hub.files[name]), "pointerSize": 130}
    hub.listed[name] = {key: other}
    assert f"{name} of org/tiny came in with another hash" in refusal(tmp_path).message
    assert not (tmp_path / "org--tiny" / COMMIT).exists()
    assert not list(tmp_path.rglob(f"{name}*"))
    hub.listed.clear()
    hub.requests.clear()
    fetch(tmp_path)
    assert name in {name for name, _ in hub.requests}


def test_a_listing_without_hashes_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.listed["config.json"] = {"blobId": None}
    assert "no size or hash for config.json" in refusal(tmp_path).message
    assert hub.requests == []


def test_names_that_leave_the_folder_are_not_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.files |= {"../evil.json": b"{}", "..\\evil.json": b"{}", ".complete.json": b"{}", "/evil.json": b"{}"}
    folder = fetch(tmp_path)
    assert {path.name for path in folder.iterdir()} - {".complete.json"} == NEEDED


def test_unknown_names_and_closed_doors_are_told_apart(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no repository org/none" in refusal(tmp_path, repo="org/none").message
    assert "HF_TOKEN" in refusal(tmp_path, repo="org/hidden").hint
    assert "org/tiny has no revision none" in refusal(tmp_path, "none").message
    hub.token = "hf_right"
    assert "org/tiny is gated" in refusal(tmp_path).message
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "HF_TOKEN" in refusal(tmp_path).hint
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    fetch(tmp_path)


def test_a_file_that_is_listed_and_gone_is_an_error(hub: Hub, tmp_path: Path) -> None:
    hub.listed["README.md"] = {"rfilename": "gone.json"}
    assert "cannot give org/tiny" in refusal(tmp_path).message


def test_no_network_is_one_line(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    refused = refusal(tmp_path)
    assert "cannot reach the hub for org/tiny" in refused.message
    assert "HF_HUB_OFFLINE=1" in refused.hint


def test_pickled_weights_are_refused_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    refused = refusal(tmp_path)
    assert "the repository org/tiny holds only pickled weights (pytorch_model.bin)" in refused.message
    assert hub.requests == []
    hub.files = {"adapter_model.safetensors": b"x"}
    assert "has no weights" in refusal(tmp_path).message


def test_too_little_room_is_found_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.listed["model.safetensors"] = {"size": 1 << 60}
    refused = refusal(tmp_path)
    assert "needs 1152921504606.8 MB" in refused.message
    assert "free some space" in refused.hint
    assert hub.requests == []


def test_a_cache_that_cannot_be_written_is_one_line(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("in the way")
    assert "cannot keep org/tiny in" in refusal(tmp_path / "a-file").message


def test_two_at_once_fetch_once(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "org--tiny").mkdir()
    progress = Quiet()
    folders = []
    with FileLock(tmp_path / "org--tiny" / ".lock"):
        second = threading.Thread(
            target=lambda: folders.append(fetch_repository("org/tiny", None, tmp_path, progress)[0])
        )
        second.start()
        second.join(0.5)
        assert folders == [] and "waiting for another lorgnette" in progress.labels[0]
    second.join(10)
    assert folders == [fetch(tmp_path)]
    assert len(hub.requests) == len(NEEDED)
