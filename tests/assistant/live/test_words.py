"""What is a command, what is no question at all, and what is left of a question without its wake word."""

from __future__ import annotations

import pytest

from lorgnette.assistant.live.words import BACKCHANNEL, ECHO, QUESTION, REPEAT, STOP, kind, meaning, without_wake_word


@pytest.mark.parametrize(
    "text",
    ["Stop.", "stop", "Stop, please.", "Okay, stop.", "STOP!", "Stop it now.", "Be quiet!", "Shut up.", "Never mind.",
     "No, stop.", "That\u2019s enough.", "That's enough, thank you.", "Stop stop."],
)  # fmt: skip
def test_stop(text: str) -> None:
    assert meaning(text) == STOP


@pytest.mark.parametrize(
    "text",
    ["Repeat.", "Repeat that, please.", "Say that again.", "Please say that again.", "What did you say?",
     "Sorry, what did you say?", "Can you repeat that?", "Could you please say that again?",
     "Again, please.", "Once more."],
)  # fmt: skip
def test_repeat(text: str) -> None:
    assert meaning(text) == REPEAT


@pytest.mark.parametrize(
    "text",
    ["", " ", "...", "Mm-hm.", "Uh-huh.", "Hmm.", "Yeah.", "Okay.", "Oh, wow.", "Thank you.", "I see.",
     "Got it, thanks.", "(coughs)", "[clears throat]", "*laughs*"],
)  # fmt: skip
def test_somebody_who_only_listens(text: str) -> None:
    assert meaning(text) == BACKCHANNEL


@pytest.mark.parametrize(
    "text",
    ["What is this?", "Is there a stop sign?", "Where does the bus stop?", "Stop me if that is a cat.",
     "What does it say?", "Can you read that again slowly and spell it?", "Is it okay to go?", "How many are there?",
     "And the cat?", "No.", "Why?", "Is that enough?", "Was ist das?"],
)  # fmt: skip
def test_questions(text: str) -> None:
    assert meaning(text) == QUESTION


@pytest.mark.parametrize("text", ["\u0427\u0442\u043e \u044d\u0442\u043e?", "\u9019\u662f\u4ec0\u9ebc\uff1f"])
def test_a_question_in_another_script_is_a_question(text: str) -> None:
    assert meaning(text) == QUESTION


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Hey Jarvis, what is this?", "what is this?"),
        ("hey jarvis what is this?", "what is this?"),
        ("Jarvis. Is it red?", "Is it red?"),
        ("\u201cHey, Jarvis!\u201d Is it red?", "Is it red?"),
        ("Hey Jarvis. Hey Jarvis. Is it red?", "Is it red?"),
        ("Hey Jarvis.", ""),
        ("What is hey jarvis?", "What is hey jarvis?"),
        ("Heyday of what?", "Heyday of what?"),
        ("What is this?", "What is this?"),
        ("", ""),
    ],
)
def test_the_wake_word_is_no_part_of_the_question(text: str, left: str) -> None:
    assert without_wake_word(text, "hey jarvis") == left


def test_okay_may_be_written_ok_and_no_phrase_takes_nothing() -> None:
    assert without_wake_word("OK Nabu, is it red?", "okay nabu") == "is it red?"
    assert without_wake_word("Nabu is it red?", "okay nabu") == "is it red?"
    assert without_wake_word("OK, is it red?", "") == "OK, is it red?"


@pytest.mark.parametrize(
    ("text", "over", "speech_s", "log_probability", "wanted"),
    [
        ("Stop.", "A red car.", 0.16, -0.5, STOP),
        ("Be quiet.", "A red car.", 0.13, -0.9, BACKCHANNEL),
        ("Is there a dog?", "A red car.", 0.13, -0.5, BACKCHANNEL),
        ("Is there a dog?", "A red car.", 1.2, -0.5, QUESTION),
        ("Is there a dog?", "A red car.", 1.2, -0.9, BACKCHANNEL),
        ("A red car.", "A red car.", 1.2, -0.1, ECHO),
        ("Be quiet.", "", 0.4, -0.9, STOP),
        ("Is there a dog?", "", 0.13, -0.9, QUESTION),
    ],
)
def test_what_is_only_guessed_over_an_answer_was_nothing(
    text: str, over: str, speech_s: float, log_probability: float, wanted: str
) -> None:
    assert kind(text, over, speech_s, log_probability) == wanted
