"""Lines on a page in the order of reading, and the paragraphs that they make."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from lorgnette.vision.reading_order import in_reading_order, paragraphs, unwrapped
from lorgnette.vision.text_line import TextLine


def line(text: str, left: float, top: float, width: float, height: float = 20.0) -> TextLine:
    corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    return TextLine(text, 0.99, np.array(corners, np.float32))


def turned(lines: list[TextLine], degrees: float) -> list[TextLine]:
    """The page turned clockwise about (300, 300)."""
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [
        TextLine(one.text, one.confidence, ((one.corners - 300) @ matrix + 300).astype(np.float32)) for one in lines
    ]


def texts(lines: list[TextLine]) -> list[str]:
    return [one.text for one in in_reading_order(lines)]


COLUMNS = [
    line("Heading", 100, 0, 400, 30),
    *(line(f"left {n}", 20, 60 + 30 * n, 240) for n in range(6)),
    *(line(f"right {n}", 320, 60 + 30 * n, 240) for n in range(6)),
    line("Foot over both", 20, 280, 540),
]


@pytest.mark.parametrize("degrees", [0, 7, -12, 90, 180, 270])
def test_columns_under_a_heading(degrees: float) -> None:
    """Whatever order the detector finds them in, and however the page is turned."""
    expected = [one.text for one in COLUMNS]
    for seed in range(5):
        shuffled = turned(COLUMNS, degrees)
        random.Random(seed).shuffle(shuffled)
        assert texts(shuffled) == expected


def test_one_line_after_the_other() -> None:
    lines = [line("one", 100, 0, 200), line("two", 60, 40, 300), line("three", 150, 80, 90)]
    for order in itertools.permutations(lines):
        assert texts(list(order)) == ["one", "two", "three"]


def test_words_of_a_row_are_joined() -> None:
    (joined,) = in_reading_order([line("here", 95, 2, 80), line("Pay", 0, 0, 80), line("now", 185, 1, 50)])
    assert joined.text == "Pay here now"
    assert joined.corners.tolist() == [[0, 0], [235, 1], [235, 21], [0, 20]]


def test_rows_apart_are_not_joined() -> None:
    assert texts([line("Exit", 0, 0, 80), line("Gate", 200, 0, 80)]) == ["Exit", "Gate"]


@pytest.mark.parametrize("price", ["2.50", "$3", "12", "4,20 \u20ac", "9:30", "350 g"])
def test_a_price_belongs_to_its_row(price: str) -> None:
    menu = [line("Espresso", 0, 0, 120), line(price, 400, 0, 50), line("Tea", 0, 40, 60), line(price, 400, 41, 50)]
    assert texts(menu) == [f"Espresso {price}", f"Tea {price}"]


def test_a_column_of_numbers_stays_one() -> None:
    table = [line(str(10 * row + column), 200 * column, 40 * row, 40) for row in range(3) for column in range(2)]
    assert texts(table) == ["0", "10", "20", "1", "11", "21"]


def test_a_large_letter_is_not_part_of_a_small_line() -> None:
    assert texts([line("P", 0, 0, 60, 80), line("2 hours", 65, 30, 100, 20)]) == ["P", "2 hours"]


def test_nothing() -> None:
    assert in_reading_order([]) == []
    assert paragraphs([]) == []


def test_circles_end() -> None:
    """Boxes that overlap every which way still come out once each."""
    random_numbers = np.random.default_rng(0)
    for _ in range(20):
        lines = [
            line(f"word{n}", *random_numbers.uniform(0, 200, 2), *random_numbers.uniform(10, 150, 2)) for n in range(15)
        ]
        words = " ".join(texts(lines)).split()
        assert sorted(words) == sorted(one.text for one in lines)


def page(*rows: str, indents: tuple[int, ...] = (), gaps: tuple[int, ...] = ()) -> list[TextLine]:
    lines, top = [], 0.0
    for number, row in enumerate(rows):
        left = 30.0 if number in indents else 0.0
        lines.append(line(row, left, top, 400 - left))
        top += 26 + 30 * (number in gaps)
    return lines


def test_lines_make_a_paragraph() -> None:
    assert paragraphs(page("The quick brown fox", "jumps over the", "lazy dog.")) == [
        "The quick brown fox jumps over the lazy dog."
    ]


def test_a_sentence_over_several_lines_of_a_sign_is_one_line() -> None:
    sign = page("Wet floor.", "Please use the", "back door.", "Push", "555-0123")
    found = unwrapped(sign, 120)
    assert texts(found) == ["Wet floor.", "Please use the back door.", "Push", "555-0123"]
    assert found[1].centre == pytest.approx(np.mean([sign[1].centre, sign[2].centre], axis=0))
    assert texts(unwrapped(sign, 20)) == texts(sign)
    apart = [line("Please use the", 0, 0, 200), line("back door.", 0, 90, 200)]
    assert texts(unwrapped(apart, 120)) == texts(apart)
    menu = page("espresso", "iced latte", "mocha", "Coffee", "tea")
    assert texts(unwrapped(menu, 120)) == texts(menu)
    assert texts(unwrapped(page("Mind", "the gap"), 120)) == ["Mind the gap"]
    assert texts(unwrapped(page("push to", "open"), 120)) == ["push to open"]
    assert texts(unwrapped(page("Sen-", "tences, and", "more"), 120)) == ["Sentences, and more"]
    assert unwrapped([], 120) == []


def test_words_divided_at_the_end_of_a_line() -> None:
    assert paragraphs(page("A sen-", "tence about 1990-", "1995, and Anna-", "Lena -", "really")) == [
        "A sentence about 1990- 1995, and Anna- Lena - really"
    ]


def test_a_gap_an_indent_and_a_size_begin_a_paragraph() -> None:
    assert paragraphs(page("one", "two", "three", "four", gaps=(0,), indents=(3,))) == ["one", "two three", "four"]
    assert paragraphs([line("Title", 0, 0, 200, 40), line("text", 0, 45, 300, 20)]) == ["Title", "text"]


def test_columns_are_paragraphs_of_their_own() -> None:
    assert paragraphs(in_reading_order(COLUMNS)) == [
        "Heading",
        " ".join(f"left {n}" for n in range(6)),
        " ".join(f"right {n}" for n in range(6)),
        "Foot over both",
    ]
