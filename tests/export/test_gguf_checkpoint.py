"""Reading GGUF: names, row order and tokenizer come back as they went in; other files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_gguf import write_gguf

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.export.assembly import Assembly
from lorgnette.export.gguf_checkpoint import read_gguf
from lorgnette.export.llama import WeightsFormatError


def test_round_trip(tiny: Assembly, make_models: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_gguf(path, tiny, make_models.MERGES)
    checkpoint = read_gguf(path)
    assert checkpoint.name == "tiny"
    assert checkpoint.stop_id == 2
    assert checkpoint.weights.config.rope_theta == pytest.approx(10_000.0)
    assert checkpoint.weights.tensors.keys() == tiny.language.tensors.keys()
    for name, array in tiny.language.tensors.items():
        np.testing.assert_array_equal(checkpoint.weights.tensors[name], array)
    text = "<|im_start|>the inn, 1234 <|im_end|>é"
    ids = checkpoint.tokenizer.encode(text, add_special_tokens=False).ids
    assert ids == tiny.tokenizer.encode(text, add_special_tokens=False).ids
    assert checkpoint.tokenizer.decode(ids, skip_special_tokens=False) == text


def test_other_architectures_are_refused(tiny: Assembly, make_models: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    write_gguf(path, tiny, make_models.MERGES, architecture="mamba")
    with pytest.raises(WeightsFormatError, match="mamba"):
        read_gguf(path)


def test_a_missing_tensor_is_named(tiny: Assembly, make_models: Any, tmp_path: Path) -> None:
    path = tmp_path / "partial.gguf"
    write_gguf(path, tiny, make_models.MERGES, leave_out="blk.1.ffn_up.weight")
    with pytest.raises(WeightsFormatError, match=r"layers\.1\.mlp\.up_proj"):
        read_gguf(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 1000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.gguf"
    path.write_bytes(content)
    with pytest.raises(WeightsFormatError, match="no GGUF"):
        read_gguf(path)


def test_a_cut_file_is_refused(tiny: Assembly, make_models: Any, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    write_gguf(path, tiny, make_models.MERGES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsFormatError, match="no GGUF"):
        read_gguf(path)


@pytest.mark.weights
def test_tokenizer_equals_llama_cpp() -> None:
    """The file holds what llama.cpp 0.3.36 (Python) gives for these texts: special tokens parsed, none added."""
    expected = json.loads((Path(__file__).parent / "llama_cpp_ids.json").read_text("utf-8"))
    tokenizer = read_gguf(WeightStore.from_config(load_config()).path("smollm2-135m-instruct")).tokenizer
    assert len(expected) >= 20
    for text, ids in expected.items():
        assert tokenizer.encode(text, add_special_tokens=False).ids == ids, text
