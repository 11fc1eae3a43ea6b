"""The network hears whether a question is whole, from the numbers that it was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.resample import resample
from lorgnette.device.session import SessionError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.speech.end_of_turn import SmartTurn, log_mel

QUESTIONS = sorted((Path(__file__).parents[2] / "examples" / "questions").glob("*.wav"))
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def model() -> SmartTurn:
    return SmartTurn(WeightStore.from_config(load_config()).path("smart-turn-v3"))


@pytest.mark.parametrize("seconds", [0.3, 2.0, 8.0])
def test_the_features_are_whispers(seconds: float) -> None:
    sound = np.tile(load_sound(QUESTIONS[0], 60).samples, 8)[: round(seconds * RATE_HZ)]
    window = np.pad(sound, (8 * RATE_HZ - len(sound), 0))
    window = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
    theirs = FeatureExtractor(chunk_length=8)(window.astype(np.float32), padding=0)
    ours = log_mel(sound)
    assert ours.dtype == np.float32 and ours.shape == (80, 800)
    assert np.abs(ours - theirs).max() < 1e-4


def test_silence_and_nothing_have_features() -> None:
    for sound in (np.zeros(RATE_HZ, np.float32), np.zeros(0, np.float32)):
        assert np.isfinite(log_mel(sound)).all()


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(SessionError, match=r"broken\.onnx"):
        SmartTurn(tmp_path / "broken.onnx")


@pytest.mark.weights
def test_whole_questions_are_finished_and_broken_ones_less(model: SmartTurn) -> None:
    whole, broken = [], []
    for file in QUESTIONS:
        sound = load_sound(file, 60)
        whole.append(model.probability(sound))
        first_part = sound.samples[: round(0.45 * len(sound.samples))]
        broken.append(model.probability(AudioChunk(np.pad(first_part, (0, 1600)), RATE_HZ)))
    assert all(0 <= p <= 1 for p in whole + broken)
    assert np.mean(np.array(whole) > 0.5) > 0.8
    assert np.mean(whole) - np.mean(broken) > 0.3


@pytest.mark.weights
def test_it_hears_the_last_eight_seconds(model: SmartTurn) -> None:
    question = load_sound(QUESTIONS[0], 60).samples
    talk = np.concatenate([np.tile(load_sound(QUESTIONS[1], 60).samples, 6), question])
    assert len(talk) > 9 * RATE_HZ
    last = model.probability(AudioChunk(talk[-8 * RATE_HZ :], RATE_HZ))
    assert model.probability(AudioChunk(talk, RATE_HZ)) == last


@pytest.mark.weights
def test_other_rates_are_heard_as_well(model: SmartTurn) -> None:
    sound = load_sound(QUESTIONS[0], 60)
    finer = AudioChunk(resample(sound.samples, RATE_HZ, 48_000), 48_000)
    assert model.probability(finer) == pytest.approx(model.probability(sound), abs=0.1)
