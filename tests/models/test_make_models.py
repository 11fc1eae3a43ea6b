"""The committed tiny models are what `make_models.py` writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, HERE / "make_models.py", folder], check=True)
    return folder / "tiny_vlm"


def test_same_files(fresh: Path) -> None:
    def files(folder: Path) -> dict[Path, int]:
        found = {path.relative_to(folder): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        return {path: size for path, size in found.items() if path.name != ".verified.json"}

    committed = files(HERE / "tiny_vlm")
    assert set(files(fresh)) == set(committed)
    assert sum(committed.values()) < 1_000_000


def test_same_graphs(fresh: Path) -> None:
    graphs = sorted(path.name for path in (fresh / "onnx").glob("*.onnx"))
    assert len(graphs) == 5
    for name in graphs:
        new, old = onnx.load(fresh / "onnx" / name).graph, onnx.load(HERE / "tiny_vlm" / "onnx" / name).graph
        assert list(new.node) == list(old.node), name
        assert list(new.input) == list(old.input) and list(new.output) == list(old.output), name
        for ours, theirs in zip(new.initializer, old.initializer, strict=True):
            assert ours.name == theirs.name
            array = numpy_helper.to_array(ours)
            # Another machine may round a last bit otherwise, which can move an 8-bit value by one step.
            tolerance = 1.0 if array.dtype == np.uint8 else 1e-6
            np.testing.assert_allclose(
                array.astype(np.float64), numpy_helper.to_array(theirs).astype(np.float64), rtol=1e-5, atol=tolerance
            )


def test_same_manifest(fresh: Path) -> None:
    new, old = (json.loads((folder / "manifest.json").read_text("utf-8")) for folder in (fresh, HERE / "tiny_vlm"))
    new_parity, old_parity = new.pop("parity"), old.pop("parity")
    assert new_parity == pytest.approx(old_parity, abs=0.01)
    # Hashes may differ by the last bits above.
    for manifest in (new, old):
        for file in manifest["files"]:
            del file["sha256"]
    assert new == old
    assert (fresh / "tokenizer.json").read_text("utf-8") == (HERE / "tiny_vlm" / "tokenizer.json").read_text("utf-8")
