"""The small transcriber where it is sure, the large one where it is not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from lorgnette.device.errors import InputError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.speech.cascade import CascadeTranscriber, attempts, hasty
from lorgnette.speech.moonshine import MoonshineTranscriber
from lorgnette.speech.rolling_transcript import RollingTranscript
from lorgnette.speech.transcriber import ScriptedTranscriber, Transcript, plain_words

EXAMPLES = Path(__file__).parents[2] / "examples"
SOUND = AudioChunk(np.zeros(16_000, np.float32), 16_000)


class Quick:
    """Hears these words with these log-probabilities, one after the other, and keeps what silence came before."""

    languages = frozenset({"en"})

    def __init__(self, heard: Iterable[tuple[str, float]]) -> None:
        self._heard = list(heard)
        self.leads_s: list[float] = []

    def transcribe(
        self, sound: AudioChunk, language: str | None = None, hint: str | None = None, lead_s: float = 0.1
    ) -> Transcript:
        self.leads_s.append(lead_s)
        text, log_probability = self._heard.pop(0)
        return Transcript(text, "en", 1.0, sound.duration_s, sound.duration_s, log_probability)


class Thorough(ScriptedTranscriber):
    """Hears "thorough", and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(["thorough"], "de")
        self.asked = 0

    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        self.asked += 1
        return super().transcribe(sound, language, hint)


def cascade(*heard: tuple[str, float]) -> tuple[CascadeTranscriber, Quick, Thorough]:
    quick, thorough = Quick(heard), Thorough()
    return CascadeTranscriber(cast(MoonshineTranscriber, quick), thorough), quick, thorough


def test_what_is_sure_is_heard_once() -> None:
    both, quick, thorough = cascade(("What is this?", -0.05))
    assert both.transcribe(SOUND).text == "What is this?"
    assert (len(quick.leads_s), thorough.asked) == (1, 0)


def test_what_is_likely_is_heard_again_behind_another_silence() -> None:
    both, quick, thorough = cascade(("What is this?", -0.15), ("what is this", -0.15))
    assert both.transcribe(SOUND).text == "What is this?"
    assert len(set(quick.leads_s)) == 2
    assert thorough.asked == 0


@pytest.mark.parametrize(
    "heard",
    [
        [("What is this?", -0.15), ("What is his?", -0.15)],
        [("What is this?", -0.15), ("What is this?", -0.3)],
        [("What is this?", -0.5)],
        [("What is this?", -math.inf)],
    ],
    ids=["other words", "not likely enough", "a guess", "a loop"],
)
def test_what_is_guessed_is_heard_thoroughly(heard: list[tuple[str, float]]) -> None:
    both, _, thorough = cascade(*heard)
    assert both.transcribe(SOUND).text == "thorough"
    assert thorough.asked == 1


def test_silence_needs_no_second_opinion() -> None:
    both, _, thorough = cascade(("", 0.0))
    assert both.transcribe(SOUND).heard_nothing
    assert thorough.asked == 0


def test_another_language_and_a_long_recording_go_straight_to_the_thorough_one() -> None:
    both, quick, _ = cascade()
    assert both.transcribe(SOUND, "de").text == "thorough"
    assert both.transcribe(AudioChunk(np.zeros(21 * 16_000, np.float32), 16_000), "en").text == "thorough"
    assert quick.leads_s == []


def test_steps_can_be_left_off_between() -> None:
    both, _, thorough = cascade(("What is this?", -0.5))
    first, second = attempts(both)
    assert first(SOUND, None, None) is None
    assert thorough.asked == 0
    heard = second(SOUND, None, None)
    assert heard is not None and heard.text == "thorough"
    assert len(attempts(thorough)) == 1


def test_partials_are_the_quick_ones_and_say_nothing_of_the_language() -> None:
    both, _, thorough = cascade(("What is", -0.2), ("Vas ist", -0.9), ("What is this?", -0.3))
    rolling = RollingTranscript(hasty(both))
    assert [rolling.update(SOUND).text for _ in range(3)] == ["What is", "What is", "What is this?"]
    assert (rolling.language, thorough.asked) == (None, 0)
    assert hasty(thorough) is thorough


@pytest.mark.weights
class TestMoonshine:
    """The real networks."""

    def test_what_it_is_sure_of_is_right(self, moonshine: MoonshineTranscriber) -> None:
        sure = 0
        for example in json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8")):
            heard = moonshine.transcribe(load_sound(EXAMPLES / example["audio"], 60))
            assert heard.language == "en" and 0 < heard.speech_s <= heard.duration_s
            if heard.log_probability >= -0.08:
                sure += 1
                assert plain_words(heard.text) == plain_words(example["text"])
        assert sure >= 2

    def test_noise_is_nothing(self, moonshine: MoonshineTranscriber) -> None:
        hiss = np.random.default_rng(0).normal(size=48_000).astype(np.float32) * np.float32(0.1)
        assert moonshine.transcribe(AudioChunk(hiss, 16_000)).heard_nothing

    def test_another_language_is_refused(self, moonshine: MoonshineTranscriber) -> None:
        with pytest.raises(InputError, match="does not know the language 'de'"):
            moonshine.transcribe(SOUND, "de")
