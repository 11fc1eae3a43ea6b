"""The real models, opened once for all tests that are marked `weights`."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.speech.cascade import CascadeTranscriber
from lorgnette.speech.moonshine import MoonshineTranscriber
from lorgnette.speech.piper import PiperSynthesizer
from lorgnette.speech.voice_activity import SileroDetector
from lorgnette.speech.whisper import WhisperTranscriber


@pytest.fixture(scope="session")
def transcriber() -> WhisperTranscriber:
    return WhisperTranscriber(WeightStore.from_config(load_config()).path("whisper-base"))


@pytest.fixture(scope="session")
def moonshine() -> MoonshineTranscriber:
    return MoonshineTranscriber(WeightStore.from_config(load_config()).path("moonshine-tiny-en"))


@pytest.fixture(scope="session")
def cascade(moonshine: MoonshineTranscriber, transcriber: WhisperTranscriber) -> CascadeTranscriber:
    return CascadeTranscriber(moonshine, transcriber)


@pytest.fixture(scope="session")
def voice_dir() -> Path:
    return WeightStore.from_config(load_config()).path("piper-en-us-joe-medium")


@pytest.fixture(scope="session")
def voice(voice_dir: Path) -> PiperSynthesizer:
    """Says everything a little differently each time, but the same in every run of the tests."""
    onnxruntime.set_seed(0)
    return PiperSynthesizer(voice_dir)


@pytest.fixture(scope="session")
def detector() -> SileroDetector:
    """Needs no weights: the model is in faster-whisper's wheel."""
    return SileroDetector()
