"""Words that cannot be the end of a question, however finished they sounded."""

from __future__ import annotations

import re

from lorgnette.speech.transcriber import plain_words

# An ending that asks for another word. Prepositions are not among them: what is she looking at?
_NEEDS_MORE = re.compile(
    r".*\b(?:a|an|the|my|your|our|their|its|every|very|and|or|but|because|if|than|whether|whose|um+|uh+|erm?"
    r"|how (?:many|much|far|old|big|tall|long)|(?:what|which) (?:colou?r|kind|sort|type|time|number|shape)"
    r"|(?:kind|sort|type|name|number|colou?r|rest|end|middle|top|bottom) of|i"
    r"|(?:what|where|when|why|how|who|which|if|whether) (?:he|she|we|they|it|you))"  # what they: no verb came yet
)
# All there is of a question that has only begun.
_OPENING = re.compile(
    r"(?:(?:so|and|ok|okay|well|now|please|hey) )*"
    r"(?:(?:what|who|where|when|why|how|which)(?: (?:is|are|was|were|do|does|did|can|could|will|would|has|have)|'s|'re)"
    r"|(?:is|are|was|were) (?:there|it|this|that|these|those|he|she|they|you|any|some|any(?:body|one))(?: any| some)?"
    r"|(?:do|does|did|can|could|will|would|has|have|should) (?:you|i|he|she|it|they|this|that|these|we)"
    r"(?: (?:see|tell|read|show|find|know|say|think|describe|look|like|want))?"
    r"(?: (?:me|to|that|what|where|how|if)){0,2}"
    r"|(?:tell|show|read|remind|give) me(?: (?:about|when|what|where|how|if|to|which|who))?"
    r"|i (?:am|was|want|need|would like|am looking|have)(?: (?:to|for|know|see))*"
    r"|(?:look|listen|point)(?: (?:at|to))?"
    r"|how (?:many|much) \w+(?: \w+)? (?:is|are|was|were|do|does|did|can)"
    r"|is it (?:safe|okay|possible|time|easy|hard|far) to"
    r"|(?:when|if|while) (?:i|we|my)"
    r"(?: (?!(?:what|who|where|which|how|is|are|will|can|do|does|should|tell)\b)[\w']+)+)"
)


def is_unfinished(text: str) -> bool:
    """Whether more has to come after `text` (English): it ends in an article or the like, or only opens a question.

    >>> is_unfinished("What is the?"), is_unfinished("Is there a dog or"), is_unfinished("What is she looking at?")
    (True, True, False)
    """
    if text.rstrip().endswith(("...", "\u2026", "-", "\u2014")):
        return True
    plain = " ".join(plain_words(text))
    return bool(_NEEDS_MORE.fullmatch(plain) or _OPENING.fullmatch(plain))
