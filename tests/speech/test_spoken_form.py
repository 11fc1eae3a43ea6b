"""What is written for the eye is rewritten for the ear."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorgnette.device.sound_file import load_sound
from lorgnette.device.wav import write_wav
from lorgnette.speech.piper import PiperSynthesizer
from lorgnette.speech.spoken_form import spoken_form
from lorgnette.speech.whisper import WhisperTranscriber

CASES = {
    # measures
    "It is 3.5 m away.": "It is 3.5 metres away.",
    "1 m or 2 m": "1 metre or 2 metres",
    "at 20 km/h, 40 mph or 3 m/s": "at 20 kilometres per hour, 40 miles per hour or 3 metres per second",
    "It is -5 °C, 72°F.": "It is -5 degrees Celsius, 72 degrees Fahrenheit.",
    "5 ft. tall, 10 lb, 6'2\"": "5 feet tall, 10 pounds, 6 foot 2",
    "a 5-km run and a 10 m² room": "a 5 kilometre run and a 10 square metres room",
    "The bus comes in 5 min. It is late.": "The bus comes in 5 minutes. It is late.",
    "5G, A4, 10k, 3D, the 3 m's": "5G, A4, 10k, 3D, the 3 m's",
    "1 in 5 and 3 in the box": "1 in 5 and 3 in the box",
    # money
    "€4.50, $3, £2.99, $1": "4 euros and 50 cents, 3 dollars, 2 pounds and 99 pence, 1 dollar",
    "$1,250.50 and €0.99 and 5 €": "1,250 dollars and 50 cents and 99 cents and 5 euros",
    "$3 million, $5M, £1.01, ¥500": "3 million dollars, 5 million dollars, 1 pound and 1 penny, 500 yen",
    "It costs $10-20.": "It costs 10 to 20 dollars.",
    # times and dates
    "7:30, 7:00, 7:05 pm": "7 30, 7 o'clock, 7 oh 5 PM",
    "It opens at 8 a.m.": "It opens at 8 AM.",
    "At 8 a.m. on Monday, 15:00": "At 8 AM on Monday, 15 hundred",
    "NO PARKING 8AM-6PM": "NO PARKING 8 AM to 6 PM",
    "2024-05-12, May 5, 2024": "May 12th, 20 24, May 5th, 20 24",
    "on 5 May 2004": "on the 5th of May 2004",
    "12/05/2024 and Jan. 3": "12, 5, 20 24 and January 3rd",
    "in 1990, since 1905, the 1990s, the 80s": "in 19 90, since 19 oh 5, the 19 nineties, the eighties",
    "In 2024 people": "In 20 24 people",
    # ranges and ratios
    "10-20 people, pages 3–5": "10 to 20 people, pages 3 to 5",  # noqa: RUF001
    "16:9, 5 - 3 = 2, 50-50": "16 to 9, 5 minus 3 = 2, 50 50",
    "COVID-19, a 2-seater, 1-2-3": "COVID-19, a 2-seater, 1-2-3",
    "1/2 cup, 3/4, 1 1/2, 4/5 stars, 24/7": "1 half cup, 3 quarters, 1 and a half, 4 out of 5 stars, 24 7",
    "2x4 and 10 × 20": "2 by 4 and 10 by 20",  # noqa: RUF001
    # digit by digit
    "Call 555-1234.": "Call 5 5 5, 1 2 3 4.",
    "+1 555 867 5309": "plus 1, 5 5 5, 8 6 7, 5 3 0 9",
    "(555) 123-4567 or 0800 123 456": "5 5 5, 1 2 3, 4 5 6 7 or 0 8 0 0, 1 2 3, 4 5 6",
    "1,000,000 and 2000000 people": "1,000,000 and 2000000 people",
    # abbreviations
    "Dr. Smith and Mrs. Jones of Main St.": "Doctor Smith and Missus Jones of Main Street.",
    "St. Mary is on 5th Ave. near No. 5.": "Saint Mary is on 5th avenue near number 5.",
    "Fruit, e.g. apples, i.e. approx. 5": "Fruit, for example apples, that is approximately 5",
    "Milk, eggs, etc. They are fresh.": "Milk, eggs, et cetera. They are fresh.",
    "No. It is not.": "No. It is not.",
    "J. R. R. Tolkien": "J R R Tolkien",
    # capitals
    "EXIT, NO SMOKING, USB, NASA, IT": "EXIT, NO SMOKING, USB, NASA, IT",
    "An LED, CO2, World War II": "An L E D, C O 2, World War 2",
    # symbols and addresses
    "salt & pepper, Q&A, room #12": "salt and pepper, Q and A, room number 12",
    "~5, <5, > 3, ≥ 4, A → B": "about 5, less than 5, more than 3, at least 4, A to B",
    "he/she, and/or, TCP/IP, w/ milk, w/o": "he or she, and or, TCP IP, with milk, without",
    "https://www.example.com/a-b/": "example dot com slash a b",
    "See [our site](https://example.com/x) or www.bbc.co.uk.": "See our site or bbc dot co dot uk.",
    # markup
    "a [[dog]] *here*": "a ((dog))  here ",
    "": "",
}


@pytest.mark.parametrize("text", CASES)
def test_spoken_form(text: str) -> None:
    assert spoken_form(text) == CASES[text]


@pytest.mark.parametrize("text", CASES)
def test_what_was_rewritten_stays_as_it_is(text: str) -> None:
    said = spoken_form(text)
    assert spoken_form(said) == said


def test_other_languages_lose_their_markup_only() -> None:
    assert spoken_form("**3.5 m** & Dr. Ruiz [a]", "es") == " 3.5 m  & Dr. Ruiz (a)"


@given(text=st.text(max_size=200))
def test_every_text_has_a_spoken_form_without_markup(text: str) -> None:
    said = spoken_form(text)
    assert not set(said) & set("[]*_`#~|<>{}\\\0\n")


@given(words=st.lists(st.sampled_from(["A", "dog", "is", "near", "3", "cats", ",", "12", "birds"]), max_size=30))
def test_plain_words_are_left_alone(words: list[str]) -> None:
    assert spoken_form(" ".join(words)) == " ".join(words)


def letters(text: str) -> str:
    """Without spaces and punctuation, for "o'clock" and "oclock" sound the same."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


@pytest.mark.weights
@pytest.mark.parametrize(
    ("written", "heard_as"),
    [
        ("The table is 3.5 m away from you.", r"3\.5 (m|meters?|metres?)\b"),
        ("It is 20 °C outside in the sun.", r"20 ?(°|degrees) ?C"),
        ("The ticket costs $3 at the door.", r"\$3|(3|three) dollars"),
        ("There are 10-20 people in the room.", r"10 ?(to|-) ?20 people"),
        ("The shop opens at 7:00 in the morning.", r"(7|seven) ?(o'?clock|:00)"),
        ("The letter is for Dr. Smith and his wife.", r"(Dr\.?|Doctor) Smith and"),
        ("The number to call is 555-1234.", r"555[- ,]*1234|5[, -]*5[, -]*5[, -]*1[, -]*2[, -]*3[, -]*4"),
    ],
)
def test_a_listener_understands_it(
    written: str, heard_as: str, voice: PiperSynthesizer, transcriber: WhisperTranscriber, tmp_path: Path
) -> None:
    chunks = voice.synthesize(written)
    write_wav(tmp_path / "said.wav", chunks)
    heard = transcriber.transcribe(load_sound(tmp_path / "said.wav", 60), "en").text
    assert re.search(heard_as, heard, re.IGNORECASE), heard
