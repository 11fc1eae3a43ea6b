"""Which questions call for reading."""

from __future__ import annotations

import pytest

from lorgnette.llm.reading_request import asks_to_read


@pytest.mark.parametrize(
    "question",
    [
        "What does it say?",
        "What does the sign say?",
        "what's it say",
        "What does this say here",
        "Read it to me.",
        "Can you read the label?",
        "Please read this",
        "What is written on the wall?",
        "Is there anything written on the door?",
        "Is there any text in the picture?",
        "Any writing?",
        "What words are on the shirt?",
        "What is the title of the book?",
        "What's the title?",
        "What is the name of this street?",
        "What's the shop's name?",
        "What number is on the door?",
        "Which number is the bus?",
        "What is the number on his jersey?",
        "What's the phone number?",
        "How much is the coffee?",
        "How much does it cost?",
        "What's the price?",
        "What is on the menu?",
        "What is on the label?",
        "Tell me about the sign.",
        "The sign?",
        "What brand is this?",
        "Which platform does it leave from?",
        "When does the shop close?",
        "When is it open?",
        "What time does it open?",
        "What is written at the top left?",
        "Can you see any writing?",
        "What does it cost?",
        "What is the best before date?",
        "Has it expired?",
        "What are the ingredients?",
        "What is the caption?",
        "What does the poster advertise?",
        "Is the sign about parking?",
        "WHAT DOES IT SAY",
        "What does it say\u2019s there?",
    ],
)
def test_reading_is_called_for(question: str) -> None:
    assert asks_to_read(question)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "What is in the picture?",
        "Describe the picture.",
        "What is the man doing?",
        "Is there a sign?",
        "Are there any signs?",
        "Do you see a menu?",
        "What colour is the sign?",
        "How many posters are there?",
        "Where is the sign?",
        "What kind of sign is it?",
        "Is the man reading a book?",
        "Who is reading the newspaper?",
        "What is the woman wearing?",
        "Is the woman writing?",
        "How many people are there?",
        "Where was this taken?",
        "What time of day is it?",
        "When do you close the curtain?",
        "What is designed here?",
        "Is it a spread of food?",
        "What essay?",
        "Which dog is larger?",
        "What is on the table?",
        "Is there a screen?",
    ],
)
def test_reading_is_not_called_for(question: str) -> None:
    assert not asks_to_read(question)
