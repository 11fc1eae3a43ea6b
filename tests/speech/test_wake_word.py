"""The words that wake the assistant are heard when they are said, once, and not otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lorgnette.device.errors import LorgnetteError
from lorgnette.device.resample import resample
from lorgnette.device.sound_file import load_sound
from lorgnette.speech.piper import PiperSynthesizer
from lorgnette.speech.voice_activity import FRAME_SAMPLES
from lorgnette.speech.wake_word import WAKE_WORDS, MicroWakeWord, WakeWordDetector

QUESTIONS = sorted((Path(__file__).parents[2] / "examples" / "questions").glob("*.wav"))
RATE_HZ = 16_000
Samples = npt.NDArray[np.float32]


def said(text: str, voice: PiperSynthesizer) -> Samples:
    """`text` with a second and a half of silence before it and one after it."""
    speech = np.concatenate([resample(chunk.samples, chunk.rate_hz, RATE_HZ) for chunk in voice.synthesize(text)])
    return np.pad(speech, (24_000, 16_000)).astype(np.float32)


def times_heard(detector: WakeWordDetector, sound: Samples) -> list[float]:
    starts = range(0, len(sound) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    return [at / RATE_HZ for at in starts if detector.heard(sound[at : at + FRAME_SAMPLES])]


@pytest.mark.weights
@pytest.mark.parametrize("name", WAKE_WORDS)
def test_each_word_wakes_its_own_detector_once(name: str, voice: PiperSynthesizer) -> None:
    sound = said(f"{name.replace('_', ' ').title()}.", voice)
    heard = {other: times_heard(MicroWakeWord(other), sound) for other in WAKE_WORDS}
    assert {other for other, times in heard.items() if times} == {name}
    (at_s,) = heard[name]
    assert 1.5 < at_s < len(sound) / RATE_HZ - 0.5


@pytest.mark.weights
def test_it_is_heard_again_when_it_is_said_again(voice: PiperSynthesizer) -> None:
    detector = MicroWakeWord("hey_mycroft")
    sound = said("Hey Mycroft.", voice)
    assert len(times_heard(detector, np.concatenate([sound, sound]))) == 2


@pytest.mark.weights
def test_a_reset_forgets_the_first_half(voice: PiperSynthesizer) -> None:
    detector = MicroWakeWord("hey_mycroft")
    sound = said("Hey Mycroft.", voice)
    first, second = np.split(sound, [24_000 + (len(sound) - 40_000) * 3 // 5])
    assert times_heard(detector, first) == []
    detector.reset()
    assert times_heard(detector, second) == []
    assert times_heard(detector, first) == []
    assert len(times_heard(detector, second)) == 1


@pytest.mark.parametrize("name", WAKE_WORDS)
def test_questions_silence_and_noise_wake_nobody(name: str) -> None:
    detector = MicroWakeWord(name)
    noise = np.random.default_rng(0).normal(size=5 * RATE_HZ).astype(np.float32)
    quiet = [np.zeros(2 * RATE_HZ, np.float32), noise * np.float32(0.1), noise]  # the last of them overloads
    for sound in [*(load_sound(file, 60).samples for file in QUESTIONS), *quiet]:
        assert times_heard(detector, sound) == []


def test_the_phrase_is_what_to_say() -> None:
    assert [MicroWakeWord(name).phrase for name in WAKE_WORDS] == ["okay nabu", "hey jarvis", "hey mycroft", "alexa"]


@pytest.mark.parametrize("name", ["hey lorgnette", "okay nabu", "", "../alexa"])
def test_an_unknown_word_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(LorgnetteError, match="okay_nabu, hey_jarvis, hey_mycroft, alexa"):
        MicroWakeWord(name)
