"""A line of writing in a picture, as the language model is told of it: what it says and where it is."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

PLACES = (
    ("at the top left", "at the top", "at the top right"),
    ("on the left", "in the middle", "on the right"),
    ("at the bottom left", "at the bottom", "at the bottom right"),
)
"""Names of the thirds of a picture: rows from the top, in them columns from the left."""

# Whatever reads as a double quote becomes a single one, so that no line can end the quote that it stands in.
_SINGLE_QUOTES = str.maketrans(dict.fromkeys('"\u201c\u201d\u201e\u201f\u2033\u301d\u301e\uff02', "'"))


@dataclass(frozen=True, slots=True)
class SceneText:
    """`text` is one line without line breaks, `place` one of `PLACES`."""

    text: str
    place: str

    @property
    def quotable(self) -> str:
        """`text` as it may stand between double quotes: single quotes for double ones, one space for white space of
        any kind and length, and nothing that cannot be seen."""
        visible = (_visible(character) for character in self.text)
        return " ".join("".join(visible).split()).translate(_SINGLE_QUOTES)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":  # tabs and line breaks among them
        return " "
    return "" if category.startswith("C") else character


def place_name(x: float, y: float) -> str:
    """Where the point is; `x` and `y` are fractions of the picture's width and height, from the top left."""
    column, row = (min(max(int(3 * fraction), 0), 2) for fraction in (x, y))
    return PLACES[row][column]
