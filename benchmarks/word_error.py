"""Word error rate: how far what was heard is from what was said."""

from __future__ import annotations

import re

# Spellings that sound alike count as the same word; without this British and American speech cannot share a test.
_SAME = {"color": "colour", "colors": "colours", "gray": "grey", "motor cycle": "motorcycle", "ok": "okay"}
_NUMBERS = {
    str(n): word
    for n, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
}


def normalised_words(text: str) -> list[str]:
    """`text` in lower case without punctuation, single digits as words, one spelling for what sounds the same."""
    plain = " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("’", "'")))  # noqa: RUF001
    for other, usual in _SAME.items():
        plain = re.sub(rf"\b{other}\b", usual, plain)
    return [_NUMBERS.get(word, word) for word in plain.split()]
