"""`lorgnette export`: what it writes, and its one-line errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorgnette.assistant.command_line.main import main
from lorgnette.llm.bundle import ModelBundle


def test_an_unknown_model_lists_the_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "gpt-9", "--out", str(tmp_path / "bundle")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "gpt-9" in error and "embedded" in error


@pytest.mark.weights
def test_embedded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bundle"
    assert main(["export", "embedded", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["spec"] == 3
    bundle = ModelBundle.open(out, verify=True)
    assert bundle.path("decoder_model_merged").name == "decoder_model_merged_quantized.onnx"
    assert main(["export", "embedded", "--out", str(out)]) == 0
    assert "against fp32" in capsys.readouterr().out


@pytest.mark.weights
def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "me.jpg").write_text("precious")
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"junk")
    for arguments, reason in (
        (["--out", str(photos)], "no bundle"),
        (["--out", str(tmp_path / "b"), "--adapter", str(tmp_path / "none.safetensors")], "none.safetensors"),
        (["--out", str(tmp_path / "b"), "--adapter", str(junk)], "cannot read the adapter"),
    ):
        assert main(["export", "embedded", *arguments]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lorgnette:")]
        assert len(lines) == 1 and reason in lines[0]
    assert (photos / "me.jpg").read_text() == "precious"
    assert not (tmp_path / "b").exists()
