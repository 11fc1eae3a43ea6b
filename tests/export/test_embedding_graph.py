"""The embedding sessions give the table's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from lorgnette.device.session import OnnxSession
from lorgnette.export.assembly import Assembly
from lorgnette.export.block_quantization import quantize
from lorgnette.export.embedding_graph import write_embedding
from lorgnette.export.precision import PRECISIONS


def test_fp32_rows_are_the_table(tiny: Assembly, tiny_folder: Path, open_decoder: Any) -> None:
    rows = open_decoder(tiny_folder, "").embeds(np.array([[0, 264], [7, 7]]))
    np.testing.assert_array_equal(rows, tiny.language.embedding[[[0, 264], [7, 7]]])


def test_int8_rows_are_the_rounded_table(tiny: Assembly, tiny_folder: Path, open_decoder: Any) -> None:
    rows = open_decoder(tiny_folder, "_quantized").embeds(list(range(265)))
    np.testing.assert_allclose(rows[0], quantize(tiny.language.embedding).dequantize(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("precision", ["int8", "int4f16"])
@pytest.mark.parametrize("bits", [8, 4])
def test_standard_operators_give_the_same_rows(tmp_path: Path, bits: int, precision: str) -> None:
    table = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    ids = np.array([[0, 49, 7], [7, 8, 9]])
    rows, operators = [], []
    for standard in (True, False):
        path = tmp_path / f"{standard}.onnx"
        write_embedding(table, path, PRECISIONS[precision], bits=bits, standard=standard)
        rows.append(OnnxSession(path).run({"input_ids": ids})["inputs_embeds"])
        operators.append({node.domain for node in onnx.load(path, load_external_data=False).graph.node})
    np.testing.assert_array_equal(rows[0], rows[1])
    assert operators == [{""}, {"", "com.microsoft"}]


def test_the_head_shares_the_table(tiny_folder: Path) -> None:
    """The table is stored once: the decoder's graph names the embedding's data file."""
    for suffix in ("", "_quantized"):
        graph = (tiny_folder / "onnx" / f"decoder_model_merged{suffix}.onnx").read_bytes()
        assert f"embed_tokens{suffix}.onnx_data".encode() in graph
