"""Fixtures of the engine tests: the tiny random model, and pictures that differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lorgnette.device.frame import Frame
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Engine, Prompt, Token
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine

TINY = Path(__file__).parents[1] / "models" / "tiny_vlm"

Ask = Callable[[Engine, Prompt], list[Token]]


@pytest.fixture(scope="session")
def bundle() -> ModelBundle:
    return ModelBundle.open(TINY)


@pytest.fixture
def engine(bundle: ModelBundle) -> OnnxEngine:
    return OnnxEngine(bundle, EngineSettings(max_new_tokens=24))


@pytest.fixture(scope="session")
def pictures() -> list[Frame]:
    """Six pictures of noise with different means."""
    random = np.random.default_rng(5)
    return [Frame(random.integers(i * 30, i * 30 + 100, (90, 120, 3), dtype=np.uint8)) for i in range(6)]


@pytest.fixture(scope="session")
def ask() -> Ask:
    return lambda engine, prompt: list(engine.stream(prompt, CancelScope()))
