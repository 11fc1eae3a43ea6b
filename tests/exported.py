"""A tiny checkpoint exported in every precision, and what the tests compare it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lorgnette.device.frame import Frame
from lorgnette.device.session import OnnxSession
from lorgnette.export.architectures.registry import read_model
from lorgnette.export.assembly import Plan, assemble
from lorgnette.export.checkpoint.folder import open_folder
from lorgnette.export.precision import PRECISIONS
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine


@dataclass(frozen=True)
class Exported:
    """transformers' model, the folder that it was saved in, and the bundle made of that."""

    reference: Any
    checkpoint: Path
    bundle: ModelBundle

    def session(self, role: str, precision: str) -> OnnxSession:
        return OnnxSession(self.bundle.path(role, PRECISIONS[precision].suffix))

    def engine(self, precision: str, **settings: Any) -> OnnxEngine:
        suffix = PRECISIONS[precision].suffix
        chosen = replace(self.bundle, default_suffix=dict.fromkeys(self.bundle.default_suffix, suffix))
        return OnnxEngine(chosen, EngineSettings(**settings))


def greedy(engine: OnnxEngine, prompt: Prompt) -> list[int]:
    return [token.id for token in engine.stream(prompt, CancelScope())]


def noise(height: int, width: int, seed: int = 0) -> Frame:
    return Frame(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def cosine(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def export(folder: Path, write: Callable[..., Any], **options: Any) -> Exported:
    """Write a checkpoint with a function of `tiny_checkpoints` and export it in every precision."""
    reference = write(folder / "checkpoint", **options)
    model = read_model(open_folder(folder / "checkpoint"))
    every = tuple(PRECISIONS.values())
    plan = Plan(decoder=every, vision=every)
    (folder / "bundle").mkdir()
    assemble(model, folder / "bundle", plan, "test", "test")
    return Exported(reference, folder / "checkpoint", ModelBundle.open(folder / "bundle"))
