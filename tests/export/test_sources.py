"""Hashes of the sources: what makes a bundle out of date, and what is remembered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorgnette.export.sources import Sources, fingerprint, is_current
from lorgnette.llm.bundle import BundleError, ModelBundle


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    paths = [tmp_path / name for name in ("model.gguf", "encoder.pth", "adapter.safetensors")]
    for path in paths:
        path.write_text(path.name)
    return Sources(*paths)


def test_every_input_counts(sources: Sources) -> None:
    seen = {fingerprint(sources, ("",)).inputs, fingerprint(sources, ("_quantized",)).inputs}
    for path in (sources.gguf, sources.encoder, sources.adapter):
        path.write_text("changed")
        seen.add(fingerprint(sources, ("",)).inputs)
    assert len(seen) == 5


def test_memory_follows_changes(sources: Sources, tmp_path: Path) -> None:
    memory = tmp_path / "cache" / "hashes.json"
    first = fingerprint(sources, ("",), memory)
    assert fingerprint(sources, ("",), memory) == first == fingerprint(sources, ("",))
    sources.adapter.write_text("changed: longer than before")
    assert fingerprint(sources, ("",), memory) == fingerprint(sources, ("",)) != first


def test_memory_is_what_saves_the_reading(sources: Sources, tmp_path: Path) -> None:
    """Same size and time: the file is not read again (which is what a start-up pays for)."""
    memory = tmp_path / "hashes.json"
    first = fingerprint(sources, ("",), memory)
    status = sources.gguf.stat()
    sources.gguf.write_text("MODEL.GGUF")
    os.utime(sources.gguf, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(sources, ("",), memory) == first


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_damaged_memory_is_ignored(sources: Sources, tmp_path: Path, content: str) -> None:
    memory = tmp_path / "hashes.json"
    memory.write_text(content)
    assert fingerprint(sources, ("",), memory) == fingerprint(sources, ("",))


def test_a_missing_source_is_named(sources: Sources) -> None:
    sources.encoder.unlink()
    with pytest.raises(BundleError, match=r"encoder\.pth"):
        fingerprint(sources, ("",))


def test_current_means_whole_and_of_the_same_inputs(tiny_folder: Path, tmp_path: Path) -> None:
    assert is_current(tiny_folder, ModelBundle.open(tiny_folder).inputs)
    assert not is_current(tiny_folder, "0" * 64)
    assert not is_current(tmp_path, "0" * 64)
