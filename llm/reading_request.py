"""Whether a question can only be answered by reading, since finding and reading text takes longer than all the rest."""

from __future__ import annotations

import re


def _any_of(*phrases: str) -> re.Pattern[str]:
    """Whole words and phrases, in which a space stands for white space."""
    return re.compile(rf"\b(?:{'|'.join(phrases)})\b".replace(" ", r"\s+"))


# About writing whatever else is asked.
_READING = _any_of(
    "reads?|says?|said|writ(?:ten|ing|es?)|wrote|text|words?|letter(?:s|ed|ing)?|spell(?:s|ed|ing)?|spelt",
    "caption(?:ed)?|inscri(?:bed|ption)|headlines?|subtitles?",
    "(?:what|which|the|its|phone|telephone|flight|serial|plate|bus|jersey) number|number (?:is )?(?:on|of|does)",
    r"(?:what is|what's|tell me) (?:[\w']+ ){0,3}(?:name|title|address|brand)|(?:name|title) of",
    "what (?:brand|street|company|shop|store|make|flavou?r|station|airline)",
    "which (?:brand|street|bus|platform|gate|room|aisle|floor|track|exit|station|airline)",
    "how much (?:is|are|does|do|for)|prices?|costs?",
    r"best before|use by|sell by|expir\w+",
    "opening hours|(?:when|what time) (?:is|are|does|do) (?!you ).*(?:open|closed?)",
    "ingredients?|instructions?|dosage|dose",
)
# Things that carry writing: reading is called for unless only they themselves are asked about.
_CARRIERS = _any_of(
    "signs?|signpost|labels?|menus?|posters?|billboards?|notices?|stickers?|tags?|receipts?|tickets?|headings?|titles?",
    "logos?|(?:licen[cs]e|number) plates?|scoreboard|screen|display|newspapers?|page",
)
_ABOUT_THINGS = re.compile(
    r"(?:(?:is|are|was|were)\b(?!.*\babout\b)|does\b|(?:do|can) you (?:see|notice)|how many|where|who|why"
    r"|what (?:colou?rs?|shape|size|kind|type)\b)"
)
# Somebody in the picture reads.
_READERS = re.compile(r"\b(?:is|are|was|were)\s+(?:\w+\s+){0,4}(?:reading|saying|writing)\b")


def asks_to_read(question: str) -> bool:
    """Whether `question` (English) calls for reading what is written in the picture.

    >>> asks_to_read("What does the sign say?"), asks_to_read("How much is the bread?")
    (True, True)
    >>> asks_to_read("What colour is the sign?"), asks_to_read("What is the man doing?")
    (False, False)
    """
    asked = " ".join(question.lower().replace("\u2019", "'").split()).lstrip("\"'( ")
    if _READING.search(_READERS.sub("", asked)):
        return True
    return bool(_CARRIERS.search(asked)) and not _ABOUT_THINGS.match(asked)
