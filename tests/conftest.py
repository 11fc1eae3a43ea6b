"""Fixtures of all tests: the tiny model in memory."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from lorgnette.export.assembly import Assembly

MODELS = Path(__file__).parent / "models"


@pytest.fixture(scope="session")
def make_models() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_models", MODELS / "make_models.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny(make_models: ModuleType) -> Assembly:
    model: Assembly = make_models.tiny_vlm()
    return model
