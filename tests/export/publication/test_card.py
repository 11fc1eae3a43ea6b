"""The model card: front matter that the hub reads, and the report's figures and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lorgnette.export.publication.card import make_card
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.manifest import BundleFile, Part

TINY = Path(__file__).parents[2] / "models" / "tiny_vlm"
REPORT = {
    "machine": "Linux x86_64, 2 cores",
    "speed": {"open_s": 1.0, "first_token_s": 0.254, "encode_s": 0.1, "tokens_per_s": 41.7, "memory_mb": 312.9},
    "comparisons": [{"model": "int8", "reference": "fp32", "agreement": 0.9556, "mean_kl": 0.0080456}],
    "bars": [
        {"name": "int8 chooses fp32's tokens", "wanted": ">= 90 %", "measured": "95.6 %", "met": True},
        {"name": "fp32 chooses PyTorch's tokens", "wanted": "all", "measured": "not measured: a|b <c>", "met": None},
    ],
}


@pytest.fixture
def bundle() -> ModelBundle:
    """A bundle of text alone with files for other clients, made of a repository."""
    tiny = ModelBundle.open(TINY)
    files = (*tiny.files, BundleFile("config.json", "client", "", 10, "0" * 64))
    made_of = {"source": "org/base", "revision": "a" * 40}
    parts = (Part("org/base at " + "a" * 40, "apache-2.0", "model.safetensors", "b" * 64),)
    return replace(tiny, files=files, preprocessing=None, profile="pi5", provenance=made_of, parts=parts)


def front(card: str) -> str:
    return card.split("---\n")[1]


def test_the_front_matter(bundle: ModelBundle) -> None:
    assert front(make_card(bundle, None, "me/tiny")).splitlines() == [
        "license: apache-2.0",
        "library_name: transformers.js",
        "pipeline_tag: text-generation",
        "base_model: org/base",
        "base_model_relation: quantized",
        "tags:",
        "- onnx",
        "- lorgnette",
        "- lorgnette-pi5",
    ]
    seeing = replace(bundle, preprocessing=ModelBundle.open(TINY).preprocessing)
    assert "pipeline_tag: image-text-to-text" in front(make_card(seeing, None, "me/tiny"))


@pytest.mark.parametrize(
    ("licences", "said"),
    [
        (["Apache-2.0", "apache-2.0"], ["license: apache-2.0"]),
        (["apache-2.0", "MIT"], ["license: other", "license_name: apache-2.0-and-mit"]),
        (["Home-made, 2nd"], ["license: other", "license_name: home-made-2nd"]),
        (["not stated by its card"], []),
    ],
)
def test_licences(bundle: ModelBundle, licences: list[str], said: list[str]) -> None:
    parts = tuple(Part("weights", licence, "file", "b" * 64) for licence in licences)
    lines = front(make_card(replace(bundle, parts=parts), None, "me/tiny")).splitlines()
    assert [line for line in lines if line.startswith("license")] == said


def test_only_the_reports_figures(bundle: ModelBundle) -> None:
    assert "## Measured" not in make_card(bundle, None, "me/tiny")
    card = make_card(bundle, REPORT, "me/tiny")
    assert "on Linux x86_64, 2 cores" in card
    for row in (
        "| first token | 0.25 s |",
        "| tokens a second | 42 |",
        "| memory at most | 313 MB |",
        "| int8 | fp32 | 95.6 % | 0.008 |",
        "| int8 chooses fp32's tokens | >= 90 % | 95.6 % | met |",
        "| fp32 chooses PyTorch's tokens | all | not measured: a\\|b &lt;c> | not measured |",
    ):
        assert row in card, row
    assert 'pipeline("text-generation", "me/tiny")' in card and "lorgnette bundle pull me/tiny --out tiny" in card


def test_a_folder_of_this_machine_is_not_named(bundle: ModelBundle) -> None:
    parts = (Part("/home/me/secret/model", "mit", "model.safetensors", "b" * 64),)
    mine = replace(bundle, provenance={"source": "/home/me/secret/model", "revision": ""}, parts=parts)
    card = make_card(mine, None, "me/tiny")
    assert "/home" not in card and "base_model" not in card and "| model | mit |" in card
