"""The comparison of two decoders, on cases whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorgnette.export.assembly import Assembly
from lorgnette.export.decoder_graph import DecoderWriter
from lorgnette.export.embedding_graph import write_embedding
from lorgnette.export.llama import LlamaWeights
from lorgnette.export.parity import Parity, ParityError, compare
from lorgnette.export.precision import PRECISIONS


def write(weights: LlamaWeights, folder: Path) -> Path:
    folder.mkdir()
    table = write_embedding(weights.embedding, folder / "embed.onnx", PRECISIONS["fp32"])
    DecoderWriter(weights, table, PRECISIONS["fp32"]).write(folder / "decoder.onnx")
    return folder / "decoder.onnx"


def test_a_model_against_itself_and_against_another(tiny: Assembly, tmp_path: Path) -> None:
    same = write(tiny.language, tmp_path / "a")
    tensors = dict(tiny.language.tensors)
    tensors["model.norm.weight"] = -tensors["model.norm.weight"]  # the least probable becomes the most probable
    opposite = write(LlamaWeights(tiny.language.config, tensors), tmp_path / "b")
    texts = [tiny.language.embedding[:7], tiny.language.embedding[20:25]]
    assert compare(same, same, texts) == Parity(0.0, 1.0, 12)
    worse = compare(same, opposite, texts)
    assert worse.mean_kl > 1 and worse.top1 == 0 and worse.positions == 12


def test_check_refuses_what_is_too_far() -> None:
    Parity(0.01, 0.95, 10).check(0.02, "int8")
    for kl in (0.03, np.nan):
        with pytest.raises(ParityError, match="mean KL"):
            Parity(kl, 0.95, 10).check(0.02, "int8")
