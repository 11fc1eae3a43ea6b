"""Numbers as a person says them in English: dates, times, telephone numbers, ranges, money, measures and fractions.

Digits stay digits where espeak-ng reads them well; only their order and what stands beside them changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str] | str]
"""What to look for, and what is said instead."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_UNITS = """
mm millimetre; cm centimetre; m metre; km kilometre; ft foot|feet; yd yard; mi mile
mg milligram; g gram; kg kilogram; lb pound; lbs pound; oz ounce
ml millilitre; mL millilitre; cl centilitre; l litre; L litre
W watt; kW kilowatt; V volt; kWh kilowatt hour; mAh milliamp hour; Hz hertz|hertz; kHz kilohertz|kilohertz
MHz megahertz|megahertz; GHz gigahertz|gigahertz; kB kilobyte; KB kilobyte; MB megabyte; GB gigabyte; TB terabyte
dB decibel; kcal kilocalorie; ms millisecond; sec second; min minute; mins minute; h hour; hr hour; hrs hour
cm² square centimetre; m² square metre; km² square kilometre; m³ cubic metre
km/h kilometre per hour|kilometres per hour; kph kilometre per hour|kilometres per hour
mph mile per hour|miles per hour; m/s metre per second|metres per second
°C degree Celsius|degrees Celsius; °F degree Fahrenheit|degrees Fahrenheit
"""
_MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "sen", "sen"),
}
_SIZES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion", "B": "billion"}
_PARTS = {"2": ("half", "halves"), "3": ("third", "thirds"), "4": ("quarter", "quarters"), "8": ("eighth", "eighths")}
_TENS = ("twen", "thir", "for", "fif", "six", "seven", "eigh", "nine")
_DECADES = {str(number): f"{ten}ties" for number, ten in enumerate(_TENS, 2)}


def rewritten(text: str, rules: Sequence[Rule]) -> str:
    """`text` after each of `rules` in turn."""
    for pattern, said in rules:
        text = pattern.sub(said, text)
    return text


def rules(*pairs: tuple[str, Callable[[re.Match[str]], str] | str]) -> list[Rule]:
    return [(re.compile(pattern), said) for pattern, said in pairs]


def _unit_names() -> dict[str, tuple[str, str]]:
    names = {}
    for entry in re.split(r"[;\n]\s*", _UNITS.strip()):
        short, _, name = entry.partition(" ")
        one, _, many = name.partition("|")
        names[short] = (one, many or f"{one}s")
    return names


_UNIT_NAMES = _unit_names()


def _year(digits: str) -> str:
    century, rest = digits[:2], digits[2:]
    if digits.startswith("200"):
        return digits
    return f"{century} hundred" if rest == "00" else f"{century} {_two_digits(rest)}"


def _two_digits(digits: str) -> str:
    return f"oh {digits[1]}" if digits[0] == "0" else digits


def _ordinal(day: str) -> str:
    number = int(day)
    ending = "th" if 10 < number < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _month(name: str) -> str:
    return next(month for month in _MONTHS if month.startswith(name[:3]))


def _month_first(found: re.Match[str]) -> str:
    year = f", {_year(found['year'])}" if found["year"] else ""
    return f"{_month(found['month'])} {_ordinal(found['day'])}{year}"


def _day_first(found: re.Match[str]) -> str:
    year = f" {_year(found['year'])}" if found["year"] else ""
    return f"the {_ordinal(found['day'])} of {_month(found['month'])}{year}"


def _iso_date(found: re.Match[str]) -> str:
    return f"{_MONTHS[int(found['month']) - 1]} {_ordinal(found['day'])}, {_year(found['year'])}"


def _decade(found: re.Match[str]) -> str:
    return f"{found['century'] or ''} {_DECADES[found['ten']]}".strip()


def _telephone(found: re.Match[str]) -> str:
    """Digit by digit, with a pause after each group, where it looks like a number to call; else as it was."""
    written = found.group()
    groups = re.findall(r"\d+", written)
    is_long_number = len(groups) == 1 and not groups[0].endswith("000")
    is_hyphenated = len(groups[0]) == 3 and re.fullmatch(r"\d+(-\d+)+", written)
    if sum(map(len, groups)) < 7 or not (written[0] in "+(0" or is_long_number or is_hyphenated):
        return written
    return ("plus " if written[0] == "+" else "") + ", ".join(" ".join(group) for group in groups)


def _half_day(found: re.Match[str]) -> str:
    return f" {found['half'].upper()}M" if found["half"] else ""


def _clock(found: re.Match[str]) -> str:
    hour, minute = int(found["hour"]), found["minute"]
    if minute != "00":
        return f"{hour} {_two_digits(minute)}{_half_day(found)}"
    if found["half"]:
        return f"{hour}{_half_day(found)}"
    return f"{hour} o'clock" if 0 < hour <= 12 else f"{hour} hundred"


def _range(found: re.Match[str]) -> str:
    start, end = found["start"], found["end"]
    return f"{start} {end}" if start == end else f"{start} to {end}"


def _money(found: re.Match[str]) -> str:
    one, many, one_part, many_parts = _MONEY[found["before"] or found["after"]]
    amount, size = found["amount"] or found["amount_before"], found["size"]
    if size:
        return f"{amount} {_SIZES.get(size, size)} {many}"
    whole, _, part = amount.partition(".")
    if len(part) != 2:
        return f"{amount} {one if amount == '1' else many}"
    units = f"{whole} {one if whole == '1' else many}" if whole != "0" or part == "00" else ""
    parts = f"{int(part)} {one_part if part == '01' else many_parts}" if part != "00" else ""
    return " and ".join(filter(None, (units, parts)))


def _measure(found: re.Match[str]) -> str:
    one, many = _UNIT_NAMES[found["unit"].replace(" ", "").replace("º", "°")]
    return f"{found['amount']} {one if found['amount'] == '1' or found['gap'] == '-' else many}"


def _fraction(found: re.Match[str]) -> str:
    whole, top, bottom = found["whole"] or "", found["top"], found["bottom"]
    if bottom not in _PARTS or int(top) >= int(bottom):
        return f"{whole}{top} {'out of ' if bottom in ('5', '10') else ''}{bottom}"
    part = _PARTS[bottom][top != "1"]
    return f"{whole}and {'a' if top == '1' else top} {part}" if whole else f"{top} {part}"


_DASHES = r"\-–"  # noqa: RUF001
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)}|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)"
_YEAR = r"(?P<year>(?:1[1-9]|20)\d\d)"
# The last dot of "a.m." is a full stop too where the sentence ends.
_HALF_DAY = r" ?(?P<half>[apAP])(?:[mM]\b|\.m\.(?! *$| +[A-Z])|\.m\b)"
_UNIT = "|".join(sorted(map(re.escape, _UNIT_NAMES), key=len, reverse=True))

NUMBER_RULES = rules(
    (rf"\b{_YEAR}-(?P<month>0[1-9]|1[0-2])-(?P<day>[0-2]\d|3[01])\b", _iso_date),
    (rf"\b(\d\d?)/(\d\d?)/{_YEAR}\b", lambda found: f"{int(found[1])}, {int(found[2])}, {_year(found['year'])}"),
    (rf"\b{_MONTH} (?P<day>\d\d?)(?:st|nd|rd|th)?\b(?![:.]\d)(?:,? {_YEAR}\b)?", _month_first),
    (rf"(?:\bthe )?\b(?P<day>\d\d?) {_MONTH}(?: {_YEAR}\b)?(?!\w)", _day_first),
    (rf"\b([Ii]n|[Ss]ince|[Ff]rom|[Uu]ntil) {_YEAR}\b(?![,.]?\d)", lambda found: f"{found[1]} {_year(found['year'])}"),
    (r"\b(?P<century>1[1-9]|20)?(?P<ten>[2-9])0s\b", _decade),
    (r"(?<![\w.,/:$€£-])[+(]?\d[\d() -]{5,}\d(?![\w/:]|[.,]\d)", _telephone),
    (rf"\b(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?:{_HALF_DAY})?(?![\w:])", _clock),
    (rf"\b(?P<hour>\d+){_HALF_DAY}", lambda found: f"{found['hour']}{_half_day(found)}"),
    (r"\b(\d+):(\d+)\b", r"\1 to \2"),
    (rf"(?<=\d) ?[{_DASHES}−] ?(?={_NUMBER} ?=)", " minus "),  # noqa: RUF001
    (
        rf"(?<![\w.\-/])(?P<start>{_NUMBER}(?: [AP]M| o'clock)?) ?[{_DASHES}] ?(?P<end>[$€£]?{_NUMBER})(?![\w\-/])",
        _range,
    ),
    (r"\b\d+(?:\.\d+){2,}\b", lambda found: found[0].replace(".", " point ")),
    (
        rf"(?:(?P<before>[$€£¥]) ?(?P<amount>{_NUMBER}(?: to {_NUMBER})?)"
        rf"(?: ?(?P<size>[kKmMB]|bn|thousand|million|billion|trillion)\b)?"
        rf"|(?P<amount_before>{_NUMBER}) ?(?P<after>[$€£¥]))(?!\w)",
        _money,
    ),
    (
        rf"(?<![\w.,])(?P<amount>{_NUMBER})(?P<gap>[ \u00a0-]?)(?P<unit>[°º] ?[CF]|{_UNIT})"
        r"(?![\w/²³'\u2019]|-\w)(?:\.(?= [a-z]))?",
        _measure,
    ),
    (r"\b(\d)' ?(\d\d?)(?:\"|'')", r"\1 foot \2"),
    (r"(?<=\d) ?[x\u00d7] ?(?=\d)", " by "),
    (r"(?<![\w/.])(?P<whole>\d+ )?(?P<top>\d+)/(?P<bottom>\d+)(?![\w/])", _fraction),
)
