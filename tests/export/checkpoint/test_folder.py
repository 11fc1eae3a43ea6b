"""Opening a folder: what it says about itself, and folders that are no checkpoint."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_box import CONFIG, safetensors, write_folder

from lorgnette.device.errors import InputError, LorgnetteError
from lorgnette.export.checkpoint.folder import open_folder
from lorgnette.export.checkpoint.json_file import read_json
from lorgnette.export.checkpoint.origin import read_licence
from lorgnette.export.llama import WeightsFormatError

WEIGHTS = safetensors({"w": np.ones((2, 3), np.float32)})


def test_a_folder_says_what_it_holds_and_where_it_is_from(tmp_path: Path) -> None:
    card = b"---\nlanguage: en\nlicense: apache-2.0 # really\n---\n# Tiny\nlicense: not this\n"
    files: dict[str, Any] = {"config.json": CONFIG, "model.safetensors": WEIGHTS, "README.md": card}
    folder = write_folder(tmp_path, files | {"training_args.bin": b"\x80"})
    checkpoint = open_folder(folder)
    assert checkpoint.config["model_type"] == "tiny"
    assert checkpoint.tensors["w"].shape == (2, 3)
    origin = checkpoint.origin
    assert (origin.name, origin.revision, origin.licence, origin.lora) == (str(folder), "", "apache-2.0", "")
    assert dict(origin.files) == {"model.safetensors": hashlib.sha256(WEIGHTS).hexdigest()}


def test_hashes_are_made_when_asked_for_and_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"config.json": CONFIG, "model.safetensors": WEIGHTS})
    first, second = open_folder(folder), open_folder(folder)
    known = first.origin.files["model.safetensors"]
    (folder / "model.safetensors").unlink()
    assert first.origin.files["model.safetensors"] == known
    assert list(second.origin.files) == ["model.safetensors"]
    with pytest.raises(WeightsFormatError, match="cannot read"):
        second.origin.files["model.safetensors"]


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        ({}, "has no config.json", "save_pretrained"),
        ({"adapter_config.json": {}}, "holds a LoRA adapter", "--lora"),
        ({"config.json": b"{", "model.safetensors": WEIGHTS}, "config.json is not JSON", "fetch"),
        ({"config.json": b"\xff", "model.safetensors": WEIGHTS}, "config.json is not JSON", "fetch"),
        ({"config.json": b"[]", "model.safetensors": WEIGHTS}, "holds no JSON object", "fetch"),
        ({"config.json": {"hidden_size": 4}, "model.safetensors": WEIGHTS}, "neither model_type nor", "transformers"),
        ({"config.json": CONFIG}, "has no weights", "fetch"),
        ({"config.json": CONFIG, "adapter_model.safetensors": WEIGHTS}, "has no weights", "fetch"),
        ({"config.json": CONFIG, "model.safetensors": WEIGHTS[:-1]}, "cut short", "fetch"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(
    tmp_path: Path, files: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(LorgnetteError, match=message) as refusal:
        open_folder(write_folder(tmp_path, files))
    assert hint in refusal.value.hint
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "x.pt", "x.pth", "last.ckpt"]
)
def test_pickles_are_never_read(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path, {"config.json": CONFIG, name: b"\x80\x02", "args.bin": b"\x80"})
    with pytest.raises(InputError, match="only pickled weights") as refusal:
        open_folder(folder)
    assert "safe_serialization=True" in refusal.value.hint
    assert "sandbox" in refusal.value.hint
    if name.startswith("pytorch_model"):
        assert name in refusal.value.message


def test_no_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    with pytest.raises(InputError, match="is a file"):
        open_folder(tmp_path / "model.safetensors")


def test_files_that_may_be_absent_are_empty_then(tmp_path: Path) -> None:
    write_folder(tmp_path, {"generation_config.json": {"eos_token_id": 2}})
    assert read_json(tmp_path / "generation_config.json") == {"eos_token_id": 2}
    assert read_json(tmp_path / "processor_config.json") == {}
    with pytest.raises(WeightsFormatError, match="cannot read"):
        read_json(tmp_path)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ('---\nlicense: "cc-by-nc-4.0"\n---', "cc-by-nc-4.0"),
        ("---\ntags:\n- x\nlicense:\n- mit\n  \n- apache-2.0\nother: y\n---\n", "mit, apache-2.0"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0"),
        ("---\nlicense: other\nlicense_name: 'Some Research Licence'\n---\n", "Some Research Licence"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\ntags: x\n---\nlicense: mit\n", ""),
        ("license: mit", ""),
        ("", ""),
    ],
)
def test_the_licence_is_what_the_card_says(tmp_path: Path, card: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(card)
    assert read_licence(tmp_path / "README.md") == licence


def test_no_card_says_no_licence(tmp_path: Path) -> None:
    assert read_licence(tmp_path / "README.md") == ""
