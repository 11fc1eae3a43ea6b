"""Clauses with their sound: read while they are written, and what was heard of their words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorgnette.assistant.live.answer_sound import AnswerSound
from lorgnette.device.sound import AudioChunk


def sound(samples: int, first: int = 0) -> AudioChunk:
    return AudioChunk(np.arange(first, first + samples, dtype=np.float32), 16_000)


def test_an_answer_that_has_not_begun() -> None:
    answer = AnswerSound()
    assert (answer.length, answer.rate_hz, answer.is_finished, answer.said(0)) == (0, 0, False, "")
    assert len(answer.slice(0, 100)) == 0


def test_a_finished_answer_keeps_its_sound() -> None:
    answer = AnswerSound()
    answer.add("A cat.", sound(100))
    answer.finish()
    assert answer.is_finished
    assert answer.rate_hz == 16_000
    assert np.array_equal(answer.slice(90, 20), np.arange(90, 100))
    assert len(answer.slice(100, 20)) == 0


@given(st.lists(st.integers(0, 50), max_size=6), st.integers(1, 40))
def test_slices_are_the_pieces_end_to_end(lengths: list[int], step: int) -> None:
    answer, total = AnswerSound(), 0
    for length in lengths:
        answer.add("x", sound(length, total))
        total += length
    assert answer.length == total
    slices = [answer.slice(start, step) for start in range(0, total + step, step)]
    assert np.array_equal(np.concatenate(slices), np.arange(total))
    assert all(piece.dtype == np.float32 for piece in slices)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (0, ""),
        (249, ""),
        (250, "It"),
        (500, "It is"),
        (1000, "It is a cat."),
        (1499, "It is a cat."),
        (1500, "It is a cat. It"),
        (2000, "It is a cat. It sleeps."),
        (9999, "It is a cat. It sleeps."),
    ],
)
def test_what_was_said_goes_by_what_was_heard(samples: int, said: str) -> None:
    answer = AnswerSound()
    answer.add("It is a cat. ", sound(1000))
    answer.add("It sleeps.", sound(1000))
    assert answer.said(samples) == said


def test_a_clause_without_sound_was_said_with_the_one_before() -> None:
    answer = AnswerSound()
    answer.add("A cat.", sound(100))
    answer.add("...", sound(0))
    assert answer.said(100) == "A cat."


def test_more_sound_of_the_same_clause_is_not_said_twice() -> None:
    answer = AnswerSound()
    answer.add("It is a cat. ", sound(600))
    answer.add("It is a cat. ", sound(400, 600), begins=False)
    answer.add("It sleeps.", sound(1000, 1000))
    assert np.array_equal(answer.slice(0, 2000), np.arange(2000))
    assert [answer.said(samples) for samples in (500, 1000)] == ["It is", "It is a cat."]
    assert answer.said(2000) == "It is a cat. It sleeps."


def test_more_sound_of_a_clause_that_never_began_begins_it() -> None:
    answer = AnswerSound()
    answer.add("A cat.", sound(100), begins=False)
    assert answer.said(100) == "A cat."


@given(st.lists(st.tuples(st.text("ab ", max_size=12), st.integers(1, 300)), max_size=5), st.integers(0, 2000))
def test_more_heard_is_never_fewer_words(clauses: list[tuple[str, int]], samples: int) -> None:
    answer = AnswerSound()
    for text, length in clauses:
        answer.add(text, sound(length))
    words = [word for text, _ in clauses for word in text.split()]
    said, more = answer.said(samples).split(), answer.said(samples + 50).split()
    assert len(said) <= len(more) <= len(words)
    assert answer.said(answer.length).split() == words
