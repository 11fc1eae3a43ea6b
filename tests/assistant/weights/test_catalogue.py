"""The lock file that ships, and lock files that do not parse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from weight_box import weight_entry

from lorgnette.assistant.config import Config
from lorgnette.assistant.weights.catalogue import PackageSource, WeightsError, load_catalogue
from lorgnette.assistant.weights.store import WeightStore

EMBEDDED = {
    "smollm2-135m-instruct",
    "efficientnet-lite2",
    "moonshine-tiny-en",
    "whisper-base",
    "piper-en-us-joe-medium",
    "pp-ocrv6-small",
    "smart-turn-v3",
}


def test_every_embedded_weight_has_a_package_a_second_source_and_a_licence() -> None:
    catalogue = load_catalogue()
    assert set(catalogue) == EMBEDDED
    for weight in catalogue.values():
        assert isinstance(weight.sources[0], PackageSource)
        assert len(weight.sources) + len(weight.references) >= 2
        assert weight.licence.id in {"Apache-2.0", "BSD-2-Clause", "MIT", "CC0-1.0"}
        assert weight.licence.url.startswith("https://")
        assert weight.licence.attribution


@pytest.mark.weights
@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_the_real_weight_is_what_the_lock_file_says(name: str) -> None:
    store = WeightStore.from_config(Config())
    path = store.path(name)
    assert path.is_file() if store.catalogue[name].entry else path.is_dir()
    assert store.verify(name) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"files": [{"path": "../x", "size": 1, "sha256": "0" * 64}]}, "leaves the weight's folder"),
        ({"files": [{"path": "/x", "size": 1, "sha256": "0" * 64}]}, "leaves the weight's folder"),
        ({"files": [{"path": "x", "size": 1, "sha256": "0" * 63}]}, "not a SHA-256"),
        ({"files": [{"path": "x", "size": 1}]}, "'sha256' is missing"),
        ({"entry": "y"}, "not among its files"),
        ({"sources": [{"kind": "torrent"}]}, "'torrent' is no kind of source"),
        ({"sources": [{"kind": "hub", "repo": "a/b", "revision": "c", "names": {}}]}, "exactly the listed files"),
        ({"licence": "free"}, "not a weights catalogue"),
    ],
)
def test_a_broken_extra_catalogue_is_refused(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    file = tmp_path / "extra.json"
    file.write_text(json.dumps({"spec": 1, "weights": {"mine": weight_entry({"x": b"A"}, []) | change}}))
    with pytest.raises(WeightsError, match=complaint):
        load_catalogue(file)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"spec": 2, "weights": {}}', '{"spec": 1, "weights": {"../x": {}}}'])
def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "extra.json"
    file.write_text(text)
    with pytest.raises(WeightsError, match="not a weights catalogue"):
        load_catalogue(file)


def test_a_missing_extra_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read"):
        load_catalogue(tmp_path / "nowhere.json")
