"""Where models compute: chosen by what works, refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorgnette.device.provider import CPU, CUDA, ProviderError, choose_provider, gpu_name, why_no_cuda
from lorgnette.device.session import OnnxSession
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine

TINY = Path(__file__).parents[1] / "models" / "tiny_vlm"
without_gpu = pytest.mark.skipif(not why_no_cuda(), reason="there is a GPU")


def test_the_processor_is_always_there() -> None:
    assert choose_provider("cpu", half=True) == CPU
    assert choose_provider("auto", half=False) == CPU


@without_gpu
def test_without_a_gpu_half_precision_computes_on_the_processor() -> None:
    assert choose_provider("auto", half=True) == CPU
    assert gpu_name() == "an NVIDIA GPU"


@without_gpu
def test_a_gpu_that_is_asked_for_and_missing_is_one_clear_line() -> None:
    bundle = ModelBundle.open(TINY)
    with pytest.raises(ProviderError) as refused:
        OnnxEngine(bundle, EngineSettings(provider=CUDA))
    assert why_no_cuda() in str(refused.value)
    assert "engine.provider" in refused.value.hint
    assert "\n" not in f"{refused.value}{refused.value.hint}"


def test_a_session_on_the_processor_replays_nothing() -> None:
    bundle = ModelBundle.open(TINY)
    assert not OnnxSession(bundle.path("decoder_model_merged"), replays=True).replays
