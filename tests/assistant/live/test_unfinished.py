"""Words that ask for more, and questions that only look as if they did."""

from __future__ import annotations

import pytest

from lorgnette.assistant.live.unfinished import is_unfinished


@pytest.mark.parametrize(
    "text",
    [
        "What is the?",
        "Is there a",
        "Is there a dog or...",
        "How many",
        "What colour?",
        "What kind of",
        "Can you tell me",
        "Can you tell me what",
        "Can you tell me what they",
        "Do you know whether she",
        "I would like to know,",
        "What\u2019s",
        "Um",
        "When I turn around",
        "Could you read the, uh",
    ],
)
def test_more_has_to_come(text: str) -> None:
    assert is_unfinished(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is this?",
        "What is she looking at?",
        "What is it made of?",
        "Who is it for?",
        "Who are they?",
        "Can you tell me what this is?",
        "How many are there?",
        "Describe what you see.",
        "Is it open?",
        "When I turn around, what is behind me?",
        "Is this the way to?",
        "Stop.",
        "What does the sign say?",
        "Was ist das?",
    ],
)
def test_that_may_be_all(text: str) -> None:
    assert not is_unfinished(text)
