"""What signs, doors, labels and notices say: one to three lines each, put together from lists of words.

Telephone numbers are of the range 555-0100 to 555-0199, which belongs to nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Lines = tuple[str, ...]

_WORDS = json.loads(Path(__file__).with_name("sign_words.json").read_text(encoding="utf-8"))
"""Lists by name; where a sign has several lines, "/" is between them."""


def _any(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _word(rng: np.random.Generator, kind: str) -> str:
    return _any(rng, _WORDS[kind])


def _time(rng: np.random.Generator) -> str:
    return f"{rng.integers(6, 24)}:{5 * rng.integers(12):02d}"


def _phone(rng: np.random.Generator) -> str:
    return f"555-01{rng.integers(100):02d}"


def _price(rng: np.random.Generator) -> str:
    cents = _any(rng, ["00", "20", "25", "45", "50", "75", "80", "95", "99"])
    return f"{_any(rng, ['$', '$', '£'])}{rng.integers(1, 20)}.{cents}"


def shop(rng: np.random.Generator) -> Lines:
    name = _any(
        rng, [f"{_word(rng, 'names')}'s", f"The {_word(rng, 'trees and landmarks')}", f"{_word(rng, 'names')} & Sons"]
    )
    trade = _word(rng, "trades")
    whole = (f"{name} {trade}",) if len(name + trade) < 22 else (name, trade)
    tail = _any(rng, [_word(rng, "mottoes"), f"Call {_phone(rng)}", ""])
    return (*whole, tail) if tail else whole


def street(rng: np.random.Generator) -> Lines:
    name = f"{_word(rng, 'trees and landmarks')} {_word(rng, 'ways')}"
    hill = f"Leading to {_word(rng, 'trees and landmarks')} Hill"
    return (name,) if rng.random() < 0.7 else (name, _any(rng, ["No through road", "District 9", "North", hill]))


def door(rng: np.random.Generator) -> Lines:
    room = f"Room {rng.integers(1, 900)}{_any(rng, ['', '', 'A', 'B', 'C'])}"
    person = f"Dr {_word(rng, 'names')}"
    return (
        (room,),
        (room, _word(rng, "rooms")),
        (_word(rng, "rooms"),),
        (person, _any(rng, ["Dentist", "Physician", "Head teacher", "Surgeon", "Please knock"])),
        (f"Floor {rng.integers(1, 30)}", _word(rng, "rooms"), _word(rng, "rooms")),
    )[rng.integers(5)]


def price(rng: np.random.Generator) -> Lines:
    food = _word(rng, "foods")
    unit = _any(rng, ["each", "per kg", "a bunch", "a punnet", "per box"])
    return ((food, _price(rng)), (food, f"{_price(rng)} {unit}"), (food, f"{rng.integers(2, 7)} for {_price(rng)}"))[
        rng.integers(3)
    ]


def hours(rng: np.random.Generator) -> Lines:
    start, end = rng.integers(6, 12), rng.integers(1, 12)
    span = f"{start} am to {end} pm"
    return (
        ("Open daily", span),
        (f"Monday to {_any(rng, ['Thursday', 'Friday', 'Saturday'])}", span),
        ("Opening hours", f"{_any(rng, ['Weekdays', 'Weekends', 'Sundays'])} {start} to {end}", "Closed on holidays"),
        (f"Back at {_time(rng)}",),
        (f"Closed on {_any(rng, ['Mondays', 'Tuesdays', 'Sundays'])}",),
    )[rng.integers(5)]


def label(rng: np.random.Generator) -> Lines:
    goods = _WORDS["goods"][_any(rng, list(_WORDS["goods"]))]
    lines = (_any(rng, goods["names"]), _any(rng, goods["amounts"]), _word(rng, "claims"))
    return (lines, lines[:2], (lines[0], lines[2]))[rng.integers(3)]


def warning(rng: np.random.Generator) -> Lines:
    return tuple(_word(rng, "warnings").split("/"))


def notice(rng: np.random.Generator) -> Lines:
    lines = tuple(_word(rng, "notices").split("/"))
    calls = len(lines) == 1 and rng.random() < 0.25
    return (*lines, f"Call {_phone(rng)}") if calls else lines


def transport(rng: np.random.Generator) -> Lines:
    stop = _word(rng, "stops")
    return (
        (f"Bus {rng.integers(2, 300)}", stop),
        (f"Platform {rng.integers(1, 20)}", stop, f"Departs {_time(rng)}"),
        (f"Gate {_any(rng, list('ABCDEFGH'))}{rng.integers(2, 60)}", f"Boarding {_time(rng)}"),
        (f"{stop} {rng.integers(2, 90)} km",),
        (f"Exit {rng.integers(2, 40)}", stop),
    )[rng.integers(5)]


KINDS: dict[str, Callable[[np.random.Generator], Lines]] = {
    "shop": shop,
    "street": street,
    "door": door,
    "price": price,
    "hours": hours,
    "label": label,
    "warning": warning,
    "notice": notice,
    "transport": transport,
}


def texts(count: int, rng: np.random.Generator) -> list[tuple[str, Lines]]:
    """`count` different signs, as many of each kind, with the name of their kind; a third of them in capitals."""
    found: dict[Lines, str] = {}
    names = list(KINDS)
    for number in range(count):
        while True:
            lines = KINDS[names[number % len(names)]](rng)
            case = rng.random()
            lines = tuple(map(str.upper, lines)) if case < 0.35 else lines
            lines = tuple(map(_titled, lines)) if case > 0.85 else lines
            if lines not in found:
                break
        found[lines] = names[number % len(names)]
    return [(kind, lines) for lines, kind in found.items()]


def _titled(line: str) -> str:
    """Each word with a capital, but units and the like."""
    return " ".join(word[:1].upper() + word[1:] if len(word) > 2 else word for word in line.split(" "))
