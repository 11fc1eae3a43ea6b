"""Words become stable when two updates agree on them, and stay."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorgnette.device.errors import InputError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.speech.rolling_transcript import Partial, RollingTranscript
from lorgnette.speech.transcriber import ScriptedTranscriber
from lorgnette.speech.whisper import WhisperTranscriber

QUESTIONS = Path(__file__).parents[2] / "examples" / "questions"
RATE_HZ = 16_000
SOUND = AudioChunk(np.zeros(RATE_HZ, np.float32), RATE_HZ)


def heard(*texts: str) -> list[Partial]:
    rolling = RollingTranscript(ScriptedTranscriber(texts))
    return [rolling.update(SOUND) for _ in texts]


def test_words_are_stable_once_two_updates_agree() -> None:
    partials = heard("What", "What is the?", "What is the person", "What is the person wearing?")
    assert [(one.stable, one.tentative) for one in partials] == [
        ("", "What"),
        ("What", "is the?"),
        ("What is", "the person"),
        ("What is the person", "wearing?"),
    ]
    assert [one.text for one in partials] == [
        "What",
        "What is the?",
        "What is the person",
        "What is the person wearing?",
    ]


def test_stable_words_are_not_taken_back() -> None:
    *_, agreed, late, later = heard("Is there a cat", "Is there a cat", "It was a cut here", "It was a cut here")
    assert agreed.stable == late.stable == later.stable == "Is there a cat"
    assert later.tentative == "here" and later.transcript.text == "It was a cut here"


def test_a_mark_at_the_end_of_what_goes_on_is_not_believed() -> None:
    rolling = RollingTranscript(ScriptedTranscriber(["Is it?", "Is it?", "Is it on?", "Is it on?", "Is it on?"]))
    sounds = [AudioChunk(np.zeros(size, np.float32), RATE_HZ) for size in (1000, 2000, 3000, 4000, 4000)]
    assert [rolling.update(sound).stable for sound in sounds] == ["", "Is", "Is", "Is it", "Is it on?"]


def test_silence_changes_nothing() -> None:
    *_, nothing, last = heard("Is it", "Is it", "", "Is it on?")
    assert (nothing.text, nothing.transcript.heard_nothing) == ("Is it", True)
    assert (last.stable, last.tentative) == ("Is it", "on?")


def test_the_language_is_passed_on() -> None:
    transcriber = ScriptedTranscriber(["Hund"], language="en")
    assert RollingTranscript(transcriber, "de").update(SOUND).transcript.language == "de"
    assert RollingTranscript(transcriber).update(SOUND).transcript.language == "en"


WORDS = st.lists(st.sampled_from(["a", "dog", "cat", "Dog", "dog."]), max_size=6).map(" ".join)


@given(texts=st.lists(WORDS, min_size=1, max_size=8))
def test_stable_words_only_grow_and_two_updates_said_them(texts: list[str]) -> None:
    partials = heard(*texts)
    for before, after in pairwise(partials):
        assert after.stable.split()[: len(before.stable.split())] == before.stable.split()
    # An update in which nothing could be made out does not count.
    pairs = [(one.split(), other.split()) for one, other in pairwise(text for text in texts if text.split())]
    for partial in partials:
        stable = partial.stable.split()
        assert not stable or any(one[: len(stable)] == stable == other[: len(stable)] for one, other in pairs)


@pytest.mark.weights
def test_a_real_question_as_it_grows(transcriber: WhisperTranscriber) -> None:
    sound = load_sound(QUESTIONS / "astronaut.wav", 60)
    rolling = RollingTranscript(transcriber, "en")
    step = round(0.4 * RATE_HZ)
    ends = [*range(step, len(sound.samples), step), len(sound.samples), len(sound.samples)]
    partials = [rolling.update(AudioChunk(sound.samples[:end], RATE_HZ)) for end in ends]
    *early, last = partials
    assert last.stable == last.transcript.text and not last.tentative
    assert any(one.stable and last.stable.startswith(one.stable) for one in early[:-2])


@pytest.mark.weights
def test_an_unknown_language_is_reported(transcriber: WhisperTranscriber) -> None:
    with pytest.raises(InputError, match="'klingon' is not known"):
        RollingTranscript(transcriber, "klingon").update(SOUND)
