"""What the store believes, and what it does when disks and files misbehave."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from weight_box import Box, weight_entry

from lorgnette.assistant.weights.catalogue import WeightsError

CONTENT = os.urandom(2_000_000)


@pytest.fixture
def brought(box: Box, tmp_path: Path) -> Path:
    """A folder as a person would bring it, with a weight that has no other source."""
    box.describe(model=weight_entry({"model.bin": CONTENT}, []))
    (tmp_path / "usb" / "model").mkdir(parents=True)
    (tmp_path / "usb" / "model" / "model.bin").write_bytes(CONTENT)
    return tmp_path / "usb"


def test_a_folder_serves_offline_and_is_checked(box: Box, brought: Path) -> None:
    (brought / "model" / "model.bin").write_bytes(CONTENT[:-1] + b"?" if CONTENT[-1:] != b"?" else CONTENT[:-1] + b"!")
    with pytest.raises(WeightsError, match="SHA-256"):
        box.store(offline=True, folder=brought).path("model")
    (brought / "model" / "model.bin").write_bytes(CONTENT)
    home = box.store(offline=True, folder=brought).path("model")
    assert (home / "model.bin").read_bytes() == CONTENT


def test_a_changed_file_is_noticed_and_fetched_again(box: Box, brought: Path) -> None:
    store = box.store(folder=brought)
    damaged = store.path("model") / "model.bin"
    damaged.write_bytes(CONTENT[:1000])
    assert store.status("model").state == "partial"
    assert (store.path("model") / "model.bin").read_bytes() == CONTENT


def test_rot_that_keeps_size_and_time_is_found_by_verify_and_not_used_after(box: Box, brought: Path) -> None:
    store = box.store(folder=brought)
    rotten = store.path("model") / "model.bin"
    times = rotten.stat()
    rotten.write_bytes(bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
    os.utime(rotten, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.verify("model") == ["model.bin"]
    assert (store.path("model") / "model.bin").read_bytes() == CONTENT
    assert store.verify("model") == []


def test_a_copied_cache_is_checked_rather_than_fetched(box: Box, brought: Path, tmp_path: Path) -> None:
    box.store(folder=brought).path("model")
    shutil.copytree(box.root, tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(tmp_path / "copy" / "weights" / "model" / "model.bin", ns=(1, 1))
    box.root = tmp_path / "copy"
    assert box.store().status("model").state == "partial"
    assert box.store(offline=True).path("model") == box.root / "weights" / "model"
    assert box.store().status("model").state == "installed"


def test_remove_leaves_nothing(box: Box, brought: Path) -> None:
    store = box.store(folder=brought)
    store.path("model")
    assert store.remove("model")
    assert box.files() == []
    assert not store.remove("model")
    assert store.verify("model") == ["model.bin"]


def test_a_disk_that_fills_up_leaves_nothing_to_believe(box: Box, brought: Path) -> None:
    # A file size limit makes the kernel refuse a write in the middle of the file, as a full disk does.
    limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000)); "
    limited += "os.execv(sys.argv[1], sys.argv[1:])"
    setting = f"weights.folder={brought}"
    pull = box.start("models", "pull", "model", "--set", setting, prefix=(sys.executable, "-c", limited))
    _, talk = pull.communicate(timeout=60)
    assert pull.returncode == 2
    assert talk.splitlines()[-1].startswith("lorgnette: no room left for weights")
    assert box.files() == []
    pull = box.start("models", "pull", "model", "--set", setting)
    pull.communicate(timeout=60)
    assert pull.returncode == 0
    assert (box.store(offline=True).path("model") / "model.bin").read_bytes() == CONTENT


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("may not mount a small disk here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_small_disk_is_refused_before_anything_is_fetched(box: Box, brought: Path, small_disk: Path) -> None:
    box.root = small_disk
    with pytest.raises(WeightsError, match=r"needs 2\.0 MB in .* and 1\.0 MB are free"):
        box.store(folder=brought).path("model")


def test_a_cache_that_cannot_be_written_is_an_error_in_one_line(box: Box, brought: Path, tmp_path: Path) -> None:
    box.root = tmp_path / "a-file"
    box.root.write_text("in the way")
    with pytest.raises(WeightsError, match="cannot write weights"):
        box.store(folder=brought).path("model")
