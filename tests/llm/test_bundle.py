"""Opening bundles: whole ones, and every way in which one can be broken."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorgnette.llm.bundle import BundleError, ModelBundle

TINY = Path(__file__).parents[1] / "models" / "tiny_vlm"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "bundle"))


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), "utf-8")


def test_a_whole_bundle(folder: Path) -> None:
    bundle = ModelBundle.open(folder, verify=True)
    assert bundle.name == "tiny-vlm"
    assert bundle.path("decoder_model_merged").name == "decoder_model_merged_quantized.onnx"
    assert bundle.path("decoder_model_merged", "").name == "decoder_model_merged.onnx"
    assert bundle.path("vision_encoder").name == "vision_encoder.onnx"
    assert bundle.path("tokenizer").name == "tokenizer.json"
    assert bundle.prompt.tokens_per_image == 16
    assert bundle.preprocessing.mean == (127.0, 127.0, 127.0)
    assert set(bundle.parity) == {"mean_kl", "top1", "positions"}


def test_what_is_written_is_read(folder: Path) -> None:
    bundle = ModelBundle.open(folder)
    (folder / "manifest.json").unlink()
    bundle.write_manifest()
    assert ModelBundle.open(folder, verify=True) == bundle


def test_an_unknown_precision_lists_those_there(folder: Path) -> None:
    with pytest.raises(BundleError, match="_q4") as caught:
        ModelBundle.open(folder).path("decoder_model_merged", "_q4")
    assert "'_quantized'" in caught.value.hint


@pytest.mark.parametrize("name", ["tokenizer.json", "onnx/decoder_model_merged_quantized.onnx_data"])
def test_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        ModelBundle.open(folder)


def test_cut_file(folder: Path) -> None:
    path = folder / "onnx" / "vision_encoder.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match="bytes, the manifest says"):
        ModelBundle.open(folder)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_wrong_hash_on_first_open(folder: Path) -> None:
    flip_a_bit(folder / "onnx" / "decoder_model_merged.onnx_data")
    with pytest.raises(BundleError, match="hash"):
        ModelBundle.open(folder)


def test_a_change_after_the_stamp_is_noticed(folder: Path) -> None:
    ModelBundle.open(folder)
    flip_a_bit(folder / "onnx" / "vision_encoder.onnx")
    with pytest.raises(BundleError, match="hash"):
        ModelBundle.open(folder)


def test_verify_reads_even_what_is_stamped(folder: Path) -> None:
    ModelBundle.open(folder)
    path = folder / "onnx" / "vision_encoder.onnx"
    status = path.stat()
    flip_a_bit(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ModelBundle.open(folder)  # the stamp vouches for size and time
    with pytest.raises(BundleError, match="hash"):
        ModelBundle.open(folder, verify=True)


def test_another_spec(folder: Path) -> None:
    edit(folder, lambda manifest: manifest.update(spec=4))
    with pytest.raises(BundleError, match="spec 4, this version reads spec 3") as caught:
        ModelBundle.open(folder)
    assert caught.value.hint == "update lorgnette"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"spec"', "\x00", "{}"])
def test_malformed_manifest(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text, "utf-8")
    with pytest.raises(BundleError):
        ModelBundle.open(folder)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda m: m.pop("prompt"), "manifest.prompt is missing"),
        (lambda m: m.update(extra=1), "manifest.extra is not known"),
        (lambda m: m["prompt"].update(stop_ids=["2"]), r"manifest.prompt.stop_ids\[0\] must be int, not str"),
        (lambda m: m["prompt"].update(stop_ids=[True]), "must be int, not bool"),
        (lambda m: m["decoder"].update(layers=2.5), "manifest.decoder.layers must be int"),
        (lambda m: m["files"][0].pop("sha256"), r"manifest.files\[0\].sha256 is missing"),
        (lambda m: m.update(files={}), "manifest.files must be a list"),
        (lambda m: m.update(parity=[]), "manifest.parity must be an object"),
        (lambda m: m["preprocessing"].update(std=[128.0]), "mean and std need 3 values"),
        (lambda m: m["preprocessing"].update(std=[128.0, 0, 128]), "std may not be 0"),
        (lambda m: m["prompt"].pop("opening"), "manifest.prompt.opening is missing"),
        (lambda m: m["prompt"].update(text_line=""), "text_heading and no_text need a text_line"),
        (lambda m: m["prompt"].update(text_line="{text}\n"), "must name {text} and {place} once each"),
        (lambda m: m["prompt"].update(text_line="{text} {place} {0}\n"), "must name {text} and {place} once each"),
        (lambda m: m["prompt"].update(text_line="{text} {place} {"), "must name {text} and {place} once each"),
        (lambda m: m["files"].pop(), "has no tokenizer"),
        (lambda m: m.update(preprocessing=None), "it has an image_token and no preprocessing"),
        (lambda m: m["prompt"].update(whole="{image}{image}"), "whole must name {image} once"),
        (lambda m: m["preprocessing"].update(max_tiles=5), "tile must name {row}, {column} and {image}"),
        (
            lambda m: (
                m["preprocessing"].update(max_tiles=5, tiling="direct")
                or m["prompt"].update(tile="{row}{column}{image}", whole_after_tiles="{image}")
            ),
            "once each, whole_before_tiles {image}",
        ),
        (
            lambda m: (
                m["preprocessing"].update(max_tiles=5)
                or m["prompt"].update(
                    tile="{row}{column}{image}", whole_after_tiles="{image}", whole_before_tiles="{image}"
                )
            ),
            "whole_before_tiles must be empty",
        ),
        (lambda m: m["files"][0].update(name="onnx/../../x"), "outside itself"),
        (lambda m: m["files"][0].update(name="onnx//x"), "outside itself"),
        (lambda m: m["files"][0].update(name="../manifest.json"), "outside itself"),
        (lambda m: m["files"][0].update(name="/etc/passwd"), "outside itself"),
    ],
)
def test_wrong_manifest_names_the_place(folder: Path, change: Callable[[dict[str, Any]], None], place: str) -> None:
    edit(folder, change)
    with pytest.raises(BundleError, match=place):
        ModelBundle.open(folder)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        ModelBundle.open(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"has no manifest\.json"):
        ModelBundle.open(tmp_path)
