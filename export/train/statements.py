"""What questions say together with their answers, as captions: "Who is wearing a red hat?" "The man." makes "the man is
wearing a red hat", of which colours and activities can be asked."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from lorgnette.llm.evaluation.caption_questions import Question, colour_checks, taught_questions
from lorgnette.llm.evaluation.dataset import QuestionAnswer

_ASKED = re.compile(r"(who|where|when)(?:'s| is| are) (.+)\?$")
_NOTHING = re.compile(r"(?:no|nobody|none|nothing|nowhere|not|unknown|can't|cannot|unsure|it)\b")
_IN_THE_PICTURE = re.compile(r" (?:in|of) (?:the|this) (?:photo|picture|image|photograph|scene)\b")
_ARTICLE = re.compile(r"(?:an?|the|one|two|three|four|five|six|some|his|her|their)\b")


def statements(pairs: Sequence[QuestionAnswer]) -> list[str]:
    """A sentence in small letters for each of `pairs` that says something about the picture."""
    return [said for pair in pairs if (said := _statement(pair.question.lower().strip(), pair.answers[0].lower()))]


def _statement(question: str, answer: str) -> str:
    asked, answer = _ASKED.match(_IN_THE_PICTURE.sub("", question)), answer.strip(" .")
    if not asked or not answer or _NOTHING.match(answer):
        return ""
    if asked[1] == "who":
        subject = answer if _ARTICLE.match(answer) else f"the {answer}"
        return f"{subject} is {asked[2]}"
    # "Where is the man sitting?" is followed by its answer, "When is the man sitting?" is complete without.
    return f"{asked[2]} {answer}" if asked[1] == "where" else asked[2]


class Statements:
    """What `pairs`, of one photograph, say, and the colour, count and activity questions that it answers."""

    def __init__(self, pairs: Sequence[QuestionAnswer]) -> None:
        self._said = statements(pairs)
        # One of many is spoken of as a rule, so nobody is counted to one.
        self.questions = [question for question in taught_questions(self._said) if question.answers != ("One.",)]

    def colour_checks(self, rng: random.Random) -> list[Question]:
        """As caption_questions.colour_checks."""
        return colour_checks(self._said, rng)
