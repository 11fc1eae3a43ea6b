"""Silero tells speech from silence and noise, and the recorder stops when the wearer does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError, InputError
from lorgnette.device.microphone import WavMicrophone
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.device.wav import write_wav
from lorgnette.speech.recorder import Recorder
from lorgnette.speech.voice_activity import FRAME_SAMPLES, SileroDetector, SpeechSwitch, cut_at_pauses, keep_speech

QUESTIONS = sorted((Path(__file__).parents[2] / "examples" / "questions").glob("*.wav"))
RATE_HZ = 16_000


class Lamp:
    def __init__(self) -> None:
        self.lit: set[str] = set()

    def light(self, source: str) -> None:
        self.lit.add(source)

    def dark(self, source: str) -> None:
        self.lit.discard(source)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE_HZ), np.float32)


def noise(seconds: float, size: float = 0.05) -> np.ndarray:
    return (np.random.default_rng(0).normal(size=int(seconds * RATE_HZ)) * size).astype(np.float32)


def save(path: Path, *parts: np.ndarray) -> Path:
    write_wav(path, [AudioChunk(part, RATE_HZ) for part in parts])
    return path


@pytest.mark.parametrize("file", QUESTIONS, ids=lambda file: file.stem)
def test_every_question_is_speech(file: Path, detector: SileroDetector) -> None:
    sound = load_sound(file, 60)
    assert keep_speech(sound, detector).duration_s > 0.6 * sound.duration_s


@pytest.mark.parametrize(
    "samples", [silence(3), noise(3), noise(3, 0.5), silence(0)], ids=["silent", "hiss", "roar", "none"]
)
def test_no_speech_in_silence_and_noise(samples: np.ndarray, detector: SileroDetector) -> None:
    kept = keep_speech(AudioChunk(samples, RATE_HZ), detector)
    assert len(kept.samples) == 0 and kept.rate_hz == RATE_HZ


def test_long_silence_is_cut_away(detector: SileroDetector) -> None:
    first, second = (load_sound(file, 60).samples for file in QUESTIONS[:2])
    sound = AudioChunk(np.concatenate([silence(5), first, silence(6), second, silence(5)]), RATE_HZ)
    kept = keep_speech(sound, detector, margin_s=0.3)
    spoken_s = (len(first) + len(second)) / RATE_HZ
    assert 0.7 * spoken_s < kept.duration_s < spoken_s + 1.3


def test_long_sound_is_cut_in_its_pauses() -> None:
    samples = np.random.default_rng(0).normal(size=30 * RATE_HZ).astype(np.float32)
    for pause_s in (3, 8, 13, 19, 25):  # of half a second
        samples[pause_s * RATE_HZ : int((pause_s + 0.5) * RATE_HZ)] *= 0.01
    pieces = cut_at_pauses(AudioChunk(samples, RATE_HZ), longest_s=10)
    assert pieces[0][0] == 0 and pieces[-1][1] == 30 and len(pieces) == 5
    assert all(before[1] == after[0] for before, after in pairwise(pieces))
    for (_, cut_s), pause_s in zip(pieces, (8, 13, 19, 25), strict=False):
        assert pause_s < cut_s < pause_s + 0.5


@pytest.mark.parametrize("length_s", [0.0, 0.01, 3.0])
def test_short_sound_is_one_piece(length_s: float) -> None:
    sound = AudioChunk(np.zeros(round(length_s * RATE_HZ), np.float32), RATE_HZ)
    assert cut_at_pauses(sound, longest_s=10) == [(0.0, length_s)]


def test_frames_are_heard_in_context(detector: SileroDetector) -> None:
    samples = load_sound(QUESTIONS[0], 60).samples
    frames = [samples[at : at + FRAME_SAMPLES] for at in range(0, len(samples) - FRAME_SAMPLES, FRAME_SAMPLES)]
    detector.reset()
    once = [detector.probability(frame) for frame in frames]
    detector.reset()
    again = [detector.probability(frame) for frame in frames]
    assert once == again and max(once) > 0.9 and min(once) < 0.2


def test_switch_does_not_flicker() -> None:
    switch = SpeechSwitch(silence_s=0.096)  # three frames
    states = [switch.update(p) for p in (0.1, 0.4, 0.6, 0.4, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1, 0.4, 0.1)]
    assert states == [False, False, True, True, True, True, True, True, True, False, False, False]


def test_recorder_takes_the_question_and_stops(tmp_path: Path, detector: SileroDetector) -> None:
    question = load_sound(QUESTIONS[0], 60).samples
    path = save(tmp_path / "room.wav", noise(1.5, 0.001), question, noise(5, 0.001), question)
    lamp = Lamp()
    heard = Recorder(WavMicrophone(path, CaptureGate(lamp)), detector, silence_s=0.8).record()
    assert not lamp.lit
    assert heard.rate_hz == RATE_HZ
    assert len(question) / RATE_HZ - 0.7 < heard.duration_s < len(question) / RATE_HZ + 1.2
    begin = 1.5 * RATE_HZ  # the question's place in the room; some of what came before is kept
    assert np.abs(np.correlate(heard.samples, question[4000:12_000])).argmax() < begin


def test_recorder_gives_up_on_silence(tmp_path: Path, detector: SileroDetector) -> None:
    lamp = Lamp()
    path = save(tmp_path / "silence.wav", silence(1))
    with pytest.raises(InputError, match="nobody spoke for 2 seconds"):
        Recorder(WavMicrophone(path, CaptureGate(lamp)), detector, patience_s=2).record()
    assert not lamp.lit


def test_recorder_has_a_limit(tmp_path: Path, detector: SileroDetector) -> None:
    speech = np.concatenate([load_sound(file, 60).samples for file in QUESTIONS])
    path = save(tmp_path / "talk.wav", speech)
    heard = Recorder(WavMicrophone(path, CaptureGate(Lamp())), detector, silence_s=2, limit_s=4).record()
    assert heard.duration_s == pytest.approx(4, abs=0.05)


class UnpluggedMicrophone:
    """Hears half a second, then is gone."""

    def chunks(self) -> Iterator[AudioChunk]:
        samples = load_sound(QUESTIONS[0], 60).samples[:RATE_HZ]
        for at in range(0, len(samples) - FRAME_SAMPLES, FRAME_SAMPLES):
            yield AudioChunk(samples[at : at + FRAME_SAMPLES], RATE_HZ)
        raise DeviceError("the microphone stopped sending sound", "was it unplugged?")


def test_recorder_passes_an_unplugged_microphone_on(detector: SileroDetector) -> None:
    with pytest.raises(DeviceError, match="stopped sending"):
        Recorder(UnpluggedMicrophone(), detector).record()
