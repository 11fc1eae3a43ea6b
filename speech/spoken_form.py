"""What reads well into what sounds well: "3.5 m" becomes "3.5 metres", "Dr. Smith" becomes "Doctor Smith".

espeak-ng, which turns the words into phonemes for Piper, already reads plain numbers, "30%", "EXIT" against "USB",
"U.S." and "me@example.com" as a person would. Only what it gets wrong is rewritten here.
"""

from __future__ import annotations

import re
import unicodedata

from lorgnette.speech.spoken_numbers import NUMBER_RULES, rewritten, rules

_TITLES = {"Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Dr": "Doctor", "Prof": "Professor", "Sgt": "Sergeant"}
_NUMBERED = {"no": "number", "vol": "volume", "p": "page", "pp": "pages", "fig": "figure"}
_SHORTENED = {
    "approx": "approximately",
    "apt": "apartment",
    "ave": "avenue",
    "blvd": "boulevard",
    "dept": "department",
    "etc": "et cetera",
    "incl": "including",
    "rd": "road",
    "vs": "versus",
}
# espeak-ng calls them "roman two". The single letters are more often letters.
_ROMAN = {
    "II": 2,
    "III": 3,
    "IV": 4,
    "VI": 6,
    "VII": 7,
    "VIII": 8,
    "IX": 9,
    "XI": 11,
    "XII": 12,
    "XIII": 13,
    "XIV": 14,
    "XVI": 16,
    "XIX": 19,
    "XX": 20,
    "XXI": 21,
}
# Initialisms that espeak-ng takes for words.
_SPELLED = ("AKA", "ETA", "LED", "NYC", "UPS", "VIP", "YMCA")

# What follows when the dot of an abbreviation is a full stop as well.
_ENDS = r"(?P<ends>(?= *$| +[A-Z]))?"
_NOT_SPOKEN = re.compile(r"[*_`#~|<>{}\\]+")


def spoken_form(text: str, language: str = "en") -> str:
    """`text` as it should be pronounced: in every language without markup and control characters, and in English ("en")
    with numbers, units, abbreviations and symbols as words.

    Square brackets become round ones: Piper would read doubled ones as raw phonemes.

    >>> spoken_form("Dr. Lee is 3.5 m away. It is 7:05 and 5 °C.")
    'Doctor Lee is 3.5 metres away. It is 7 oh 5 and 5 degrees Celsius.'
    """
    if language == "en":
        text = rewritten(text, _SYMBOL_RULES)
    text = _NOT_SPOKEN.sub(" ", text.replace("[", "(").replace("]", ")"))
    text = "".join(" " if unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn") else letter for letter in text)
    if language == "en":
        text = rewritten(rewritten(text, NUMBER_RULES), _WORD_RULES)
    return text


def _address(found: re.Match[str]) -> str:
    said = found["place"].rstrip("/").replace(".", " dot ").replace("/", " slash ")
    return re.sub(r"[-_?=&#%~]+", " ", said)


def _full_word(found: re.Match[str]) -> str:
    return _SHORTENED[found["word"].lower()] + _full_stop(found)


def _full_stop(found: re.Match[str]) -> str:
    return "." if found["ends"] is not None else ""


def _either(found: re.Match[str]) -> str:
    left, right = found["left"], found["right"]
    both = left.lower() == "and" or left.isupper() or right.isupper()
    return f"{left} {right}" if both else f"{left} or {right}"


# First, because they need characters that are taken for markup afterwards.
_SYMBOL_RULES = rules(
    (r"\[(?P<text>[^\[\]]+)\]\(https?://[^\s)]+\)", r"\g<text>"),
    (r"(?:https?://(?:www\.)?|\bwww\.)(?P<place>[\w\-./?=&#%~]*[\w/])", _address),
    (r"#(?=\d)", "number "),
    (r"[~≈] ?(?=[$€£]?\d)", "about "),
    (r"(?:≤|<=) ?(?=\d)", "at most "),
    (r"(?:≥|>=) ?(?=\d)", "at least "),
    (r"< ?(?=\d)", "less than "),
    (r"(?<!-)> ?(?=\d)", "more than "),
    (r"\s*(?:→|->)\s*", " to "),
    (r" ?± ?", " plus or minus "),
)
_WORD_RULES = rules(
    (r"\b[eE]\.g\.", "for example"),
    (r"\b[iI]\.e\.", "that is"),
    (r"\b(Mr|Mrs|Ms)\b\.?", lambda found: _TITLES[found[1]]),
    (r"\b(Dr|Prof|Sgt)\.(?= +[A-Z])", lambda found: _TITLES[found[1]]),
    (rf"\b([A-Z][a-z]+|\d+(?:st|nd|rd|th)) St\.{_ENDS}", lambda found: f"{found[1]} Street{_full_stop(found)}"),
    (r"\bSt\.(?= +[A-Z])", "Saint"),
    (r"\b(?i:(no|vol|pp?|fig))\. ?(?=\d)", lambda found: f"{_NUMBERED[found[1].lower()]} "),
    (rf"\b(?P<word>(?i:{'|'.join(_SHORTENED)}))\.{_ENDS}", _full_word),
    (r"\b(?:[A-Z]\. ){2,}(?=[A-Z][a-z])", lambda found: found[0].replace(".", "")),
    (rf"\b(?:{'|'.join(_ROMAN)})\b", lambda found: str(_ROMAN[found[0]])),
    (rf"\b(?:{'|'.join(_SPELLED)})\b", lambda found: " ".join(found[0])),
    (r"\b([A-Z])([A-Z])(?=\d)", r"\1 \2 "),
    (r"\bw/o\b", "without"),
    (r"\bw/ ?(?=\w)", "with "),
    (r"(?P<left>\b[A-Za-z]+)/(?P<right>[A-Za-z]+\b)", _either),
    (r" ?& ?", " and "),
)
