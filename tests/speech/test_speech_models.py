"""Whisper and Piper, with their real weights, and what they say of broken ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.audio import pad_or_trim

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.errors import InputError, LorgnetteError
from lorgnette.device.resample import resample
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.device.sound_level import measure_level
from lorgnette.device.wav import write_wav
from lorgnette.llm.evaluation.edit_distance import edit_distance
from lorgnette.speech.piper import PiperSynthesizer
from lorgnette.speech.synthesizer import SilentSynthesizer
from lorgnette.speech.transcriber import Transcriber
from lorgnette.speech.whisper import SpeechModelError, WhisperTranscriber
from lorgnette.speech.whisper_model import OneEncodingModel, repeats_itself

EXAMPLES = Path(__file__).parents[2] / "examples"
RATE_HZ = 16_000


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


@pytest.fixture(scope="module")
def model_dir() -> Path:
    return WeightStore.from_config(load_config()).path("whisper-base")


def open_model(folder: Path) -> OneEncodingModel:
    return OneEncodingModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)


def question(name: str) -> AudioChunk:
    return load_sound(EXAMPLES / "questions" / f"{name}.wav", 60)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["transcriber", "cascade"])
def test_the_shipped_questions_are_understood(name: str, request: pytest.FixtureRequest) -> None:
    transcriber: Transcriber = request.getfixturevalue(name)
    wrong = total = 0
    for example in json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8")):
        heard = transcriber.transcribe(load_sound(EXAMPLES / example["audio"], 60))
        assert heard.language == "en"
        wrong += len(set(words(example["text"])) ^ set(words(heard.text)))
        total += len(words(example["text"]))
    assert wrong <= 0.1 * total


def test_whispers_threads_do_not_spin_while_they_wait() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    told = subprocess.run(
        [sys.executable, "-c", "import lorgnette.speech.whisper_model"],
        env=environment | {"OMP_DISPLAY_ENV": "VERBOSE"},  # OpenMP tells its settings when it is loaded
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GOMP_SPINCOUNT = '0'" in told.stderr


@pytest.mark.weights
def test_transcript_of_a_question(transcriber: WhisperTranscriber) -> None:
    heard = transcriber.transcribe(question("astronaut"))
    assert words(heard.text) == words("What is the person wearing?")
    assert heard.language == "en" and heard.language_probability > 0.5
    assert 0 < heard.speech_s <= heard.duration_s < 4
    assert transcriber.transcribe(question("astronaut"), "en").language_probability == 1.0


@pytest.mark.weights
@pytest.mark.parametrize("size", [0.0, 0.05, 0.5], ids=["silence", "hiss", "roar"])
def test_nothing_is_invented_for_silence(size: float, transcriber: WhisperTranscriber) -> None:
    samples = (np.random.default_rng(0).normal(size=5 * RATE_HZ) * size).astype(np.float32)
    heard = transcriber.transcribe(AudioChunk(samples, RATE_HZ))
    assert heard.heard_nothing and heard.text == "" and heard.speech_s == 0


@pytest.mark.weights
def test_poor_sound_is_still_understood(transcriber: WhisperTranscriber) -> None:
    clean = question("astronaut")
    clipped = AudioChunk(np.clip(clean.samples * 6, -1, 1), RATE_HZ)
    telephone = AudioChunk(resample(clean.samples, RATE_HZ, 8000), 8000)
    quiet = AudioChunk(clean.samples * 0.02, RATE_HZ)
    assert measure_level(clipped).is_clipped
    for sound in (clipped, telephone, quiet):
        heard = words(transcriber.transcribe(sound, "en").text)
        assert heard[:4] == ["what", "is", "the", "person"] and len(heard) == 5


@pytest.mark.weights
@pytest.mark.parametrize("length_s", [7, 9, 12, 20, 40, 90])
def test_longer_speech_is_understood_whatever_its_length(length_s: int, transcriber: WhisperTranscriber) -> None:
    said: list[str] = []
    samples = np.zeros(0, np.float32)
    for example in json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8")) * 10:
        if len(samples) >= length_s * RATE_HZ:
            break
        said += words(example["text"])
        samples = np.concatenate([samples, load_sound(EXAMPLES / example["audio"], 60).samples])
    heard = words(transcriber.transcribe(AudioChunk(samples, RATE_HZ), "en").text)
    assert edit_distance(said, heard) <= 0.12 * len(said)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("shortest_window_s", "windows_s"), [(10, (10, 10, 15, 15, 30)), (15, (15, 15, 15, 15, 30)), (30, (30,) * 5)]
)
def test_only_as_much_is_encoded_as_was_said(
    shortest_window_s: int, windows_s: tuple[int, ...], model_dir: Path
) -> None:
    model = open_model(model_dir)
    model.shortest_window_s = shortest_window_s
    for sound_s, window_s in zip((2.0, 5.9, 6.1, 12.9, 13.1), windows_s, strict=True):
        features = np.zeros((80, 3000), np.float32)
        features[:, : round(sound_s * 100)] = 0.5
        assert list(model.encode(features).shape) == [1, window_s * 50, 512]


@pytest.mark.weights
def test_a_language_can_be_detected_in_the_whole_window(model_dir: Path) -> None:
    model = open_model(model_dir)
    samples = question("astronaut").samples
    window = pad_or_trim(model.feature_extractor(samples)[..., :-1])
    for whole, frames in ((False, 750), (True, 1500)):
        probabilities = model.detect(samples, whole)
        assert next(iter(probabilities)) == "en" and probabilities["en"] > 0.5
        assert model.encode(window).shape[1] == frames


@pytest.mark.weights
def test_doubtful_words_are_looked_for_in_the_whole_window(model_dir: Path) -> None:
    model = open_model(model_dir)
    samples = question("astronaut").samples
    window = pad_or_trim(model.feature_extractor(samples)[..., :-1])
    for least, frames in ((-1.0, 750), (0.0, 1500)):
        segments, _ = model.transcribe(samples, "en", temperature=(0.0,), log_prob_threshold=least)
        assert words(" ".join(segment.text for segment in segments)) == words("What is the person wearing?")
        assert model.encode(window).shape[1] == frames


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("What is the person wearing?", False),
        ("What is the what is the what is the", True),
        ("I see. Is it the red one? Is it the red one?", True),
        ("No, no, no, no.", False),
        ("It is a cat and it is a dog.", False),
        ("", False),
    ],
)
def test_loops(text: str, loops: bool) -> None:
    assert repeats_itself(text) is loops


@pytest.mark.weights
def test_unknown_language(transcriber: WhisperTranscriber) -> None:
    with pytest.raises(InputError, match="'klingon' is not known"):
        transcriber.transcribe(question("astronaut"), "klingon")


@pytest.mark.weights
def test_what_is_said_is_heard(voice: PiperSynthesizer, transcriber: WhisperTranscriber, tmp_path: Path) -> None:
    text = "There is a black dog on the grass. Two people are sitting on a bench behind it."
    chunks = list(voice.synthesize(text))
    assert {chunk.rate_hz for chunk in chunks} == {voice.rate_hz}
    assert chunks[0].duration_s < 0.3, "its first sound does not wait for the rest"
    assert all(chunk.samples.dtype == np.float32 and np.abs(chunk.samples).max() <= 1 for chunk in chunks)
    write_wav(tmp_path / "said.wav", chunks)
    assert words(transcriber.transcribe(load_sound(tmp_path / "said.wav", 60)).text) == words(text)


@pytest.mark.weights
def test_what_cannot_be_pronounced_is_passed_over(voice: PiperSynthesizer) -> None:
    for text in ("", "   ", "...", "\0\x07", "( ) [ ] * #"):
        assert list(voice.synthesize(text)) == []


@pytest.mark.weights
def test_markup_is_not_read_as_phonemes(
    voice: PiperSynthesizer, transcriber: WhisperTranscriber, tmp_path: Path
) -> None:
    write_wav(tmp_path / "said.wav", voice.synthesize("**There is** a dog [[ on the ]] grass."))
    heard = transcriber.transcribe(load_sound(tmp_path / "said.wav", 60), "en")
    assert {"there", "dog", "grass"} <= set(words(heard.text))


@pytest.mark.weights
def test_speed(voice: PiperSynthesizer, voice_dir: Path) -> None:
    text = "There is a black dog on the grass."
    fast = PiperSynthesizer(voice_dir, speed=1.5)
    plain_s, fast_s = (sum(chunk.duration_s for chunk in one.synthesize(text)) for one in (voice, fast))
    assert 0.55 < fast_s / plain_s < 0.8


def test_silent_synthesizer() -> None:
    chunks = list(SilentSynthesizer().synthesize("A dog. A cat is here."))
    assert len(chunks) == 2 and chunks[0].duration_s < chunks[1].duration_s
    assert not any(chunk.samples.any() for chunk in chunks)
    assert list(SilentSynthesizer().synthesize(" ")) == []


def test_missing_models(tmp_path: Path) -> None:
    with pytest.raises(SpeechModelError, match=r"lacks model.bin, config.json, tokenizer.json"):
        WhisperTranscriber(tmp_path)
    with pytest.raises(SpeechModelError, match="is not a voice"):
        PiperSynthesizer(tmp_path)
    with pytest.raises(SpeechModelError, match="is not a voice"):
        PiperSynthesizer(tmp_path / "none")


def test_broken_models(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(SpeechModelError, match="cannot be opened"):
        WhisperTranscriber(tmp_path)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    (tmp_path / "voice.onnx").write_text("{}")
    (tmp_path / "voice.onnx.json").write_text("{}")
    with pytest.raises(LorgnetteError):
        PiperSynthesizer(tmp_path)
