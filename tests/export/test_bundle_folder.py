"""A bundle's folder appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorgnette.export.bundle_folder import locked, replacing
from lorgnette.llm.bundle import BundleError


def test_success_replaces_and_tidies_up(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    for content in ("one", "two"):
        with locked(out), replacing(out) as folder:
            (folder / "manifest.json").write_text(content)
    assert (out / "manifest.json").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["bundle"]


def test_failure_leaves_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    with replacing(out) as folder:
        (folder / "manifest.json").write_text("one")
    with pytest.raises(KeyboardInterrupt), replacing(out) as folder:
        (folder / "manifest.json").write_text("two")
        raise KeyboardInterrupt
    assert (out / "manifest.json").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(BundleError, match="No space left"), replacing(out) as folder:
        (folder / "manifest.json").write_text("half")
        with Path("/dev/full").open("wb") as stream:
            stream.write(b"x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "photos"
    out.mkdir()
    (out / "me.jpg").write_text("precious")
    with pytest.raises(BundleError, match="no bundle"), replacing(out):
        raise AssertionError("must not get here")
    assert (out / "me.jpg").read_text() == "precious"


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    out = tmp_path / "empty"
    out.mkdir()
    with replacing(out) as folder:
        (folder / "manifest.json").write_text("{}")
    assert (out / "manifest.json").is_file()


def test_a_parent_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot make the folder"), locked(tmp_path / "file" / "bundle"):
        raise AssertionError("must not get here")
