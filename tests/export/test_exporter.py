"""A tiny SmolVLM all the way: written, compared with PyTorch, measured, refused, taken up again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers")

import tiny_checkpoints

from lorgnette.assistant.command_line.main import main
from lorgnette.export.checkpoint.folder import open_folder
from lorgnette.export.exporter import export_checkpoint
from lorgnette.export.profile import read_profile
from lorgnette.export.verification.estimate import estimate, work_of
from lorgnette.llm.bundle import ModelBundle

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny-smolvlm"
    tiny_checkpoints.smolvlm(folder)
    return folder


@pytest.fixture(scope="module")
def out(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fp32 and calibrated int4, kept although random weights do not bear 4 bits."""
    out = tmp_path_factory.mktemp("exported") / "bundle"
    arguments = ["--out", str(out), "--profile", "pi5", "--decoder", "fp32", "int4", "--vision", "fp32", "int8"]
    assert main(["export", str(checkpoint), *arguments, "--keep-anyway"]) == 0
    return out


def test_the_report_says_what_was_compared(out: Path) -> None:
    report = json.loads((out / "report.json").read_text())
    assert [(one["model"], one["reference"]) for one in report["comparisons"]] == [
        ("fp32", "PyTorch"),
        ("int4 with an image encoder in fp32", "fp32"),
        ("fp32 with an image encoder in int8", "fp32"),
    ]
    exact = report["comparisons"][0]
    assert exact["agreement"] == 1.0 and exact["features"]["max_difference"] <= 1e-3
    assert len(exact["answers"]) == 5 and exact["answers"][3]["tiles"] == 5
    bars = {bar["name"]: bar["met"] for bar in report["bars"]}
    assert bars["fp32 chooses PyTorch's tokens"] and bars["pixels are the processor's"]
    assert bars["a prefix used again changes nothing"] and bars["a prompt in pieces gives the same"]
    assert report["speed"]["tokens_per_s"] > 0 and 50 < report["speed"]["memory_mb"] < 1500
    assert report["export"]["seconds"] > 0 and report["estimate"]["first_token_s"] > 0
    page = (out / "report.html").read_text()
    assert page.count("<img ") == 12 and "What colour is it?" in page and "http" not in page.split("<svg")[0]


def test_the_bundle_carries_its_report_and_where_it_is_from(out: Path, checkpoint: Path) -> None:
    bundle = ModelBundle.open(out, verify=True)
    assert {"report.json", "report.html", "config.json"} <= {file.name for file in bundle.files}
    assert bundle.profile == "pi5" and bundle.decoder.context == 2048
    assert bundle.preprocessing is not None and bundle.preprocessing.max_tiles == 5
    assert bundle.provenance["source"] == str(checkpoint) and "onnxruntime" in bundle.provenance
    assert len(bundle.parts[0].sha256) == 64


def test_what_is_made_of_the_same_is_left_as_it_is(out: Path, checkpoint: Path) -> None:
    profile = replace(read_profile("pi5"), decoder=("fp32", "int4"), vision=("fp32", "int8"))
    stamp = (out / "manifest.json").stat().st_mtime_ns
    export_checkpoint(open_folder(checkpoint), out, profile)
    assert (out / "manifest.json").stat().st_mtime_ns == stamp


def test_a_missed_bar_leaves_no_bundle(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mean = tmp_path / "mean.toml"
    text = (Path(read_profile.__code__.co_filename).parent / "profiles" / "exact.toml").read_text()
    mean.write_text(text.replace("memory_mb = 16000", "memory_mb = 1"))
    out = tmp_path / "bundle"
    arguments = ["--out", str(out), "--profile", str(mean), "--no-pytorch"]
    assert main(["export", str(checkpoint), *arguments]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lorgnette:")]
    assert len(error) == 1 and "memory" in error[0] and "wanted <= 1 MB" in error[0]
    assert not out.exists() and sorted(path.name for path in tmp_path.iterdir()) == [".bundle.lock", "mean.toml"]


def test_an_exact_bundle_needs_nothing_kept_anyway(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_checkpoint(open_folder(checkpoint), tmp_path / "bundle", read_profile("exact"))
    report = json.loads((bundle.folder / "report.json").read_text())
    assert all(bar["met"] for bar in report["bars"])


def test_an_interrupted_export_leaves_nothing_that_loads_and_is_gone_on_with(checkpoint: Path, tmp_path: Path) -> None:
    def stop(stage: str, done: float) -> None:
        if stage.startswith("writing the decoder"):
            raise KeyboardInterrupt

    source, out = open_folder(checkpoint), tmp_path / "bundle"
    with pytest.raises(KeyboardInterrupt):
        export_checkpoint(source, out, read_profile("exact"), stop)
    assert not out.exists() and not list(tmp_path.rglob("manifest.json"))
    (session,) = tmp_path.glob(".bundle.*.partial/new/onnx/vision_encoder.onnx")
    written = session.stat().st_mtime_ns
    bundle = export_checkpoint(source, out, read_profile("exact"))
    assert bundle.path("vision_encoder").stat().st_mtime_ns == written, "it was not written again"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".bundle.lock", "bundle"]


def test_what_is_left_of_another_export_is_removed(checkpoint: Path, tmp_path: Path) -> None:
    left = tmp_path / ".bundle.0123456789abcdef.partial" / "new"
    left.mkdir(parents=True)
    export_checkpoint(open_folder(checkpoint), tmp_path / "bundle", read_profile("exact"), with_pytorch=False)
    assert not left.parent.exists()


def test_verify_inspect_compare(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "verify", str(out)]) == 0
    assert "WRONG" not in capsys.readouterr().out
    assert main(["export", "inspect", str(out)]) == 0
    assert "report.html" in capsys.readouterr().out
    assert main(["export", "compare", str(out), str(out), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["agreement"] == 1.0 and figures["mean_kl"] == pytest.approx(0.0, abs=1e-9)
    assert main(["export", "compare", str(out)]) == 2
    assert "takes 2" in capsys.readouterr().err


def test_work_is_counted_from_the_matrices(out: Path) -> None:
    """The language model: 2 layers of 64 x (64 + 64 + 64 x 1) for attention and 3 x 64 x 96, and the head."""
    work = work_of(ModelBundle.open(out))
    vocabulary = ModelBundle.open(out).decoder.vocabulary
    layer = 64 * (64 + 2 * 32) + 64 * 64 + 3 * 64 * 96
    assert work.token_flop == 2 * (2 * layer + vocabulary * 64)
    assert work.tile_flop > 2 * 16 * 2 * (4 * 48 * 48 + 2 * 48 * 80)
    first, rate = estimate(ModelBundle.open(out), read_profile("pi5").device)
    assert first > 0 and rate > 0


def test_error_lines(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    cut = Path(shutil.copytree(checkpoint, tmp_path / "cut"))
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    other = Path(shutil.copytree(checkpoint, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "florence2"}))
    wrong = Path(shutil.copytree(checkpoint, tmp_path / "wrong"))
    config["text_config"]["intermediate_size"] = 100
    (wrong / "config.json").write_text(json.dumps(config))
    pickled = Path(shutil.copytree(checkpoint, tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    bare = Path(shutil.copytree(checkpoint, tmp_path / "bare"))
    (bare / "tokenizer.json").unlink()
    for source, reason in (
        (cut, "bytes"),
        (other, "florence2"),
        (wrong, "config.json says"),
        (pickled, "pickled"),
        (bare, "tokenizer.json"),
        ("no such thing", "neither a folder"),
        ("org/name@", "neither a folder"),
    ):
        assert main(["export", str(source), "--out", str(tmp_path / "bundle"), "--no-pytorch"]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lorgnette:")]
        assert len(lines) == 1 and reason in lines[0], (source, lines)
    assert not (tmp_path / "bundle").exists()
