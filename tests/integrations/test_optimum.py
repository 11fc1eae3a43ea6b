"""`optimum-cli export lorgnette` in a process of its own, as Optimum starts it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("optimum.commands.optimum_cli")
pytest.importorskip("transformers")

import tiny_checkpoints

from lorgnette.llm.bundle import ModelBundle

pytestmark = pytest.mark.torch


def optimum(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "optimum.commands.optimum_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_optimum_finds_the_command() -> None:
    """Also of an editable installation, whose packages are not where Optimum's own are."""
    spec = importlib.util.find_spec("optimum.commands.register")
    assert spec is not None and spec.submodule_search_locations is not None
    assert any((Path(place) / "register_lorgnette.py").is_file() for place in spec.submodule_search_locations)


def test_a_bundle_by_optimums_command(tmp_path: Path) -> None:
    tiny_checkpoints.causal(tmp_path / "tiny-llama")
    out = tmp_path / "bundle"
    options = ["--profile", "exact", "--decoder", "fp32", "int8", "--no-pytorch", "--keep-anyway"]
    done = optimum("export", "lorgnette", "--model", str(tmp_path / "tiny-llama"), *options, str(out))
    assert done.returncode == 0, done.stderr
    bundle = ModelBundle.open(out, verify=True)
    assert bundle.profile == "exact"
    assert {file.suffix for file in bundle.files if file.role == "model"} == {"", "_quantized"}
    assert "tiny-llama for exact" in done.stdout


def test_an_error_is_one_line(tmp_path: Path) -> None:
    done = optimum("export", "lorgnette", "-m", "no such thing", str(tmp_path / "bundle"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("lorgnette: no such thing is neither a folder")
