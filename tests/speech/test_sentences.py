"""Text that arrives in pieces leaves in sentences, early and whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorgnette.speech.sentences import FIRST_CLAUSE_CHARS, SentenceSplitter, split_sentences, stream_sentences

CASES = {
    "A dog. A cat.": ["A dog. ", "A cat."],
    "Is it? Yes! Good… Fine.": ["Is it? ", "Yes! ", "Good… ", "Fine."],
    "It costs 3.50 euros. Cheap.": ["It costs 3.50 euros. ", "Cheap."],
    "Ask Dr. Smith and Mrs. Jones. They know.": ["Ask Dr. Smith and Mrs. Jones. ", "They know."],
    "Fruit, e.g. apples. And i.e. pears.": ["Fruit, e.g. apples. ", "And i.e. pears."],
    "J. R. R. Tolkien wrote it. Yes.": ["J. R. R. Tolkien wrote it. ", "Yes."],
    "So do I. You too.": ["So do I. ", "You too."],
    "Well ... maybe. No.": ["Well ... maybe. ", "No."],
    "Wait... What is that?": ["Wait... ", "What is that?"],
    'He said "Stop!" and left. "Go!" She went.': ['He said "Stop!" and left. ', '"Go!" ', "She went."],
    "Look (over there). Now.": ["Look (over there). ", "Now."],
    "One\nTwo\n\nThree": ["One\n", "Two\n\n", "Three"],
    "Version 2.0 is at example.com now.": ["Version 2.0 is at example.com now."],
    "猫がいる。犬もいる。": ["猫がいる。", "犬もいる。"],
    "": [],
    "   ": ["   "],
}


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_sentences(text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert list(stream_sentences(pieces, first_clause_chars=0)) == CASES[text]


def test_a_sentence_leaves_as_soon_as_the_next_begins() -> None:
    splitter = SentenceSplitter()
    given = ["A", " dog", " runs", ".", " A", " cat"]
    assert [list(splitter.push(piece)) for piece in given] == [[], [], [], [], ["A dog runs. "], []]
    assert list(splitter.flush()) == ["A cat"]


def test_a_short_answer_is_spoken_before_its_explanation() -> None:
    splitter = SentenceSplitter()
    given = ["No", ",", " there", " is", " no", " dog", ",", " but", " a", " cat", "."]
    assert [sentence for piece in given for sentence in splitter.push(piece)] == ["No, "]
    assert list(splitter.flush()) == ["there is no dog, but a cat."]


def test_a_thousand_is_no_clause() -> None:
    assert list(stream_sentences(["1,", "250 people", " at 7", ":30"])) == ["1,250 people at 7:30"]


def test_only_the_first_sentence_is_spoken_by_clause() -> None:
    text = "In front of you there is a table, with a cup on it. Behind the big table there is a window, and a cat."
    assert list(split_sentences(text, first_clause_chars=24)) == [
        "In front of you there is a table, ",
        "with a cup on it. ",
        "Behind the big table there is a window, and a cat.",
    ]


def test_no_sentence_is_endless() -> None:
    for text in ("word " * 2000, "x" * 10_000, "so, " * 3000):
        sentences = list(split_sentences(text))
        assert "".join(sentences) == text and max(map(len, sentences)) <= 300


TEXT = st.text(alphabet=st.one_of(st.sampled_from(list(".!?…,;: \n\"')aAbB1。-")), st.characters()), max_size=200)


@given(pieces=st.lists(TEXT, max_size=8), first_clause_chars=st.sampled_from([0, 1, FIRST_CLAUSE_CHARS, 24]))
def test_nothing_is_lost_or_changed(pieces: list[str], first_clause_chars: int) -> None:
    sentences = list(stream_sentences(pieces, first_clause_chars))
    assert "".join(sentences) == "".join(pieces)
    assert all(sentences)


@given(text=TEXT, cuts=st.lists(st.integers(0, 200), max_size=6))
def test_how_the_text_arrives_does_not_matter(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert list(stream_sentences(pieces)) == list(split_sentences(text, FIRST_CLAUSE_CHARS))
