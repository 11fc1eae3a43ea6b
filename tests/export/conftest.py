"""Fixtures of the export tests: the tiny model in memory and as its committed bundle, and a small decoding loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lorgnette.device.session import OnnxSession

MODELS = Path(__file__).parents[1] / "models"
Cache = dict[str, npt.NDArray[Any]]


@dataclass
class Decoder:
    """A decoder and its embedding table, driven without the engine."""

    embed: Any  # onnxruntime.InferenceSession
    decode: Any

    @classmethod
    def open(cls, folder: Path, suffix: str) -> Decoder:
        names = (f"embed_tokens{suffix}.onnx", f"decoder_model_merged{suffix}.onnx")
        return cls(*(OnnxSession(folder / "onnx" / name).raw for name in names))

    def embeds(self, ids: list[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Rows [1, n, hidden] of the ids [n], or [B, n, hidden] of [B, n]."""
        (rows,) = self.embed.run(None, {"input_ids": np.atleast_2d(np.asarray(ids, np.int64))})
        return rows

    def empty(self, batch: int = 1) -> Cache:
        past = [value for value in self.decode.get_inputs() if value.name.startswith("past_key_values")]
        return {value.name: np.zeros((batch, value.shape[1], 0, value.shape[3]), np.float32) for value in past}

    def step(
        self, embeds: npt.NDArray[np.float32], cache: Cache, mask: npt.NDArray[np.int64] | None = None
    ) -> tuple[npt.NDArray[np.float32], Cache]:
        """Logits [B, 1, V] after `embeds` [B, n, hidden] and the grown cache."""
        batch, length, _ = embeds.shape
        past = next(iter(cache.values())).shape[2]
        feeds = {
            "inputs_embeds": embeds,
            "attention_mask": np.ones((batch, past + length), np.int64) if mask is None else mask,
            "position_ids": np.tile(np.arange(past, past + length), (batch, 1)),
        }
        names = [value.name for value in self.decode.get_outputs()]
        results = dict(zip(names, self.decode.run(names, feeds | cache), strict=True))
        return results["logits"], {
            name.replace("present", "past_key_values"): array for name, array in results.items() if name != "logits"
        }

    def greedy(self, ids: list[int], count: int) -> list[int]:
        logits, cache = self.step(self.embeds(ids), self.empty())
        chosen = [int(logits[0, -1].argmax())]
        while len(chosen) < count:
            logits, cache = self.step(self.embeds([chosen[-1]]), cache)
            chosen.append(int(logits[0, -1].argmax()))
        return chosen


@pytest.fixture(scope="session")
def tiny_folder() -> Path:
    return MODELS / "tiny_vlm"


@pytest.fixture(params=["", "_quantized"], ids=["fp32", "int8"])
def tiny_decoder(request: pytest.FixtureRequest, tiny_folder: Path) -> Decoder:
    return Decoder.open(tiny_folder, request.param)


@pytest.fixture(scope="session")
def open_decoder() -> Any:
    return Decoder.open


@pytest.fixture(scope="session")
def torch_llama() -> Any:
    """A function from `LlamaWeights` to transformers' model with the same weights."""
    pytest.importorskip("transformers")
    from lorgnette.export.train.torch_engine import torch_llama as build

    return build
