"""What a person may name as a source, and what is remembered of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from checkpoint_box import COMMIT, CONFIG, Hub, Quiet, safetensors, write_folder, write_lora

from lorgnette.device.errors import InputError
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.checkpoint.source import open_checkpoint

W = np.arange(6, dtype=np.float32).reshape(2, 3)


def opened(source: str, cache: Path, revision: str | None = None, lora: Path | None = None) -> Checkpoint:
    return open_checkpoint(source, revision=revision, lora=lora, cache=cache, progress=Quiet())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "mine", {"config.json": CONFIG, "model.safetensors": safetensors({"w": W})})


def test_a_path_is_a_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for source in (str(folder), "./mine", "mine"):
        checkpoint = opened(source, tmp_path / "cache")
        assert (checkpoint.origin.name, checkpoint.origin.revision) == (source, "")
    (tmp_path / "org").mkdir()
    folder.rename(tmp_path / "org" / "tiny")  # wins over the repository
    assert opened("org/tiny", tmp_path / "cache").origin.revision == ""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert opened("~/org/tiny", tmp_path / "cache").origin.name == "~/org/tiny"


@pytest.mark.parametrize(("source", "revision"), [("org/tiny", None), ("org/tiny@v1", None), ("org/tiny", "v1")])
def test_a_name_is_a_repository(hub: Hub, tmp_path: Path, source: str, revision: str | None) -> None:
    hub.refs["v1"] = COMMIT
    checkpoint = opened(source, tmp_path, revision)
    origin = checkpoint.origin
    assert (origin.name, origin.revision, origin.licence) == ("org/tiny", COMMIT, "apache-2.0")
    np.testing.assert_array_equal(checkpoint.tensors["w"], W)
    assert (tmp_path / "org--tiny" / "refs" / ("main" if (source, revision) == ("org/tiny", None) else "v1")).is_file()


@pytest.mark.parametrize(
    "source", ["", "tiny", "nowhere/at/all", "/nowhere", "./a/b", "~/no", "http://x/y", "a/..", "-/x"]
)
def test_anything_else_is_one_clear_line(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refusal:
        opened(source, tmp_path)
    assert "\n" not in str(refusal.value)
    assert refusal.value.hint


def test_revisions_must_make_sense(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no revisions"):
        opened(str(folder), tmp_path, "main")
    with pytest.raises(InputError, match="another revision than v2"):
        opened("org/tiny@v1", tmp_path, "v2")


def test_a_lora_is_merged_and_remembered(folder: Path, tmp_path: Path) -> None:
    down, up = np.ones((2, 3), np.float32), np.ones((2, 2), np.float32)
    arrays = {"base_model.model.w.lora_A.weight": down, "base_model.model.w.lora_B.weight": up}
    # The base's tensor is called `w`, not `w.weight`: no module has that name.
    lora = write_lora(tmp_path / "lora", arrays)
    with pytest.raises(Exception, match=r"changes w\.weight"):
        opened(str(folder), tmp_path, lora=lora)
    write_folder(folder, {"model.safetensors": safetensors({"w.weight": W})})
    checkpoint = opened(str(folder), tmp_path, lora=lora)
    np.testing.assert_array_equal(checkpoint.tensors["w.weight"], W + 4)
    assert checkpoint.origin.lora == str(lora)
    assert dict(checkpoint.origin.files) == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (
            folder / "model.safetensors",
            lora / "adapter_config.json",
            lora / "adapter_model.safetensors",
        )
    }
