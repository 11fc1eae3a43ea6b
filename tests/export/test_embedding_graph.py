"""The embedding sessions give the table's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lorgnette.export.assembly import Assembly
from lorgnette.export.block_quantization import quantize


def test_fp32_rows_are_the_table(tiny: Assembly, tiny_folder: Path, open_decoder: Any) -> None:
    rows = open_decoder(tiny_folder, "").embeds(np.array([[0, 264], [7, 7]]))
    np.testing.assert_array_equal(rows, tiny.language.embedding[[[0, 264], [7, 7]]])


def test_int8_rows_are_the_rounded_table(tiny: Assembly, tiny_folder: Path, open_decoder: Any) -> None:
    rows = open_decoder(tiny_folder, "_quantized").embeds(list(range(265)))
    np.testing.assert_allclose(rows[0], quantize(tiny.language.embedding).dequantize(), rtol=1e-6, atol=1e-6)


def test_the_head_shares_the_table(tiny_folder: Path) -> None:
    """The table is stored once: the decoder's graph names the embedding's data file."""
    for suffix in ("", "_quantized"):
        graph = (tiny_folder / "onnx" / f"decoder_model_merged{suffix}.onnx").read_bytes()
        assert f"embed_tokens{suffix}.onnx_data".encode() in graph
