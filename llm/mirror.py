"""When a mirror image must not be asked: what is left there is right, and its letters and clocks cannot be read.

A picture and its mirror image show the same things, and a small model errs on each in its own way: what both say
together, by the geometric mean of their probabilities, is right more often. The second view costs one more look, done
before the question has ended, and a tenth of each token: a step of two rows reads the same weights as a step of one.
"""

from __future__ import annotations

import re

from lorgnette.llm.engine import Prompt
from lorgnette.llm.reading_request import asks_to_read

_SIDES = re.compile(
    r"\b(?:left|right|sides?|where|directions?|which way|facing|clockwise|clocks?|o'clock|what time|maps?|arrows?)\b"
)


def tells_sides(prompt: Prompt) -> bool:
    """Whether `prompt`, what was said before it, or writing that it quotes, needs to know left from right (English).

    >>> tells_sides(Prompt("Where is the dog?")), tells_sides(Prompt("What colour is the dog?"))
    (True, False)
    """
    said = [prompt.question, *(text for past in prompt.history for text in (past.question, past.answer))]
    if prompt.text is not None or asks_to_read(prompt.question):
        return True
    return any(_SIDES.search(text.lower().replace("\u2019", "'")) for text in said)
