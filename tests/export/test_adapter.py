"""Merging low-rank updates, and adapters that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lorgnette.export.adapter import average, calibrate, merge, read_adapter, with_trained_encoder
from lorgnette.export.assembly import Assembly
from lorgnette.export.llama import WeightsFormatError

LINEAR = "model.layers.1.mlp.up_proj"


def tensors(model: Assembly) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    update = {"A": random.standard_normal((4, 64)), "B": random.standard_normal((96, 4))}
    return {f"con.{name}": np.asarray(array, np.float16) for name, array in model.vision.connector.items()} | {
        f"lora.{LINEAR}.{part}": array.astype(np.float16) for part, array in update.items()
    }


def test_update_is_twice_the_product(tiny: Assembly, tmp_path: Path) -> None:
    stored = tensors(tiny)
    save_file(stored, tmp_path / "adapter.safetensors")
    adapter = read_adapter(tmp_path / "adapter.safetensors")
    merged = merge(tiny.language, adapter)
    down, up = (stored[f"lora.{LINEAR}.{part}"].astype(np.float64) for part in "AB")
    expected = tiny.language.tensors[f"{LINEAR}.weight"] + 2 * (up @ down)
    np.testing.assert_allclose(merged.tensors[f"{LINEAR}.weight"], expected, rtol=1e-5, atol=1e-5)
    untouched = [name for name in merged.tensors if name != f"{LINEAR}.weight"]
    assert all(merged.tensors[name] is tiny.language.tensors[name] for name in untouched)
    assert all(array.dtype == np.float32 for array in adapter.connector.values())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"con.f1.weight": None}, "lacks con.f1.weight"),
        ({f"lora.{LINEAR}.B": None}, "lacks lora"),
        ({f"lora.{LINEAR}.B": np.zeros((95, 4), np.float16)}, "does not fit"),
        (
            {
                "lora.model.layers.9.mlp.up_proj.A": np.zeros((4, 64)),
                "lora.model.layers.9.mlp.up_proj.B": np.zeros((96, 4)),
            },
            "layers.9",
        ),
    ],
)
def test_adapters_that_do_not_fit(
    tiny: Assembly, tmp_path: Path, change: dict[str, np.ndarray | None], reason: str
) -> None:
    stored = {name: array for name, array in (tensors(tiny) | change).items() if array is not None}
    save_file(stored, tmp_path / "adapter.safetensors")
    with pytest.raises(WeightsFormatError, match=reason):
        merge(tiny.language, read_adapter(tmp_path / "adapter.safetensors"))


@pytest.mark.parametrize("content", [b"", b"\xff" * 100])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "adapter.safetensors").write_bytes(content)
    with pytest.raises(WeightsFormatError, match="cannot read the adapter"):
        read_adapter(tmp_path / "adapter.safetensors")


def test_calibration_is_kept_with_the_weights(tiny: Assembly, tmp_path: Path) -> None:
    path, report = tmp_path / "adapter.safetensors", tmp_path / "report.json"
    save_file(tensors(tiny), path)
    before = read_adapter(path)
    assert before.confidence == {}
    report.write_text(json.dumps({"confidence": {"slope": 1.5, "intercept": 0.25, "ece": 0.02}}))
    calibrate(path, report)
    after = read_adapter(path)
    assert after.confidence == {"slope": 1.5, "intercept": 0.25}
    np.testing.assert_array_equal(after.connector["f1.weight"], before.connector["f1.weight"])


@pytest.mark.parametrize("content", ["", "[]", '{"confidence": null}', '{"confidence": {"slope": 1}}'])
def test_a_report_without_calibration(tiny: Assembly, tmp_path: Path, content: str) -> None:
    path, report = tmp_path / "adapter.safetensors", tmp_path / "report.json"
    save_file(tensors(tiny), path)
    report.write_text(content)
    with pytest.raises(WeightsFormatError, match="cannot take the calibration"):
        calibrate(path, report)


def test_an_average_is_between(tiny: Assembly, tmp_path: Path) -> None:
    first, second, out = (tmp_path / f"{name}.safetensors" for name in "abc")
    stored = tensors(tiny)
    save_file(stored, first)
    save_file({name: np.asarray(array + 2, np.float16) for name, array in stored.items()}, second)
    average([first, second], out)
    mean, start = read_adapter(out), read_adapter(first)
    for name, array in start.connector.items():
        np.testing.assert_allclose(mean.connector[name], array + 1, atol=0.01)
    (tmp_path / "plain").touch()
    assert out.stat().st_mode == (tmp_path / "plain").stat().st_mode, "as readable as any other file"
    save_file({"con.g": np.ones((), np.float16)}, second)
    with pytest.raises(WeightsFormatError, match="different tensors"):
        average([first, second], out)


@pytest.mark.parametrize("name", ["_conv_head.bias", "_conv_stem.weight"])
def test_trained_encoders_that_do_not_fit(tiny: Assembly, tmp_path: Path, name: str) -> None:
    path = tmp_path / "adapter.safetensors"
    save_file(tensors(tiny) | {f"enc.{name}": np.zeros((3, 3), np.float16)}, path)
    with pytest.raises(WeightsFormatError, match="does not fit the image encoder"):
        with_trained_encoder(tiny.vision.encoder, read_adapter(path))
