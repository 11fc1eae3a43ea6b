"""The order in which a person reads lines that lie about a picture: rows joined, columns one after the other.

The order is Breuel's (High Performance Document Layout Analysis, 2003): a line comes before those below it that share
some of its width, and before those on its right unless something lies between that spans both. That gives a heading
over two columns, the left column, the right one, and what runs under both, without finding columns first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.vision.text_line import TextLine

# All lengths here are in heights of a line.
_GAP_IN_ROW = 1.0
_SAME_ROW = 0.6
_HEIGHT_RATIO = 1.9
_PARAGRAPH_GAP = 0.8
_INDENT = 0.8
_HYPHENS = "-\u00ad\u2010"
_LEAST_WORDS = 3
_NEVER_LAST = "a an and are at be by for from in is of on or our please that the this to when with your"
# What stands far to the right of what it belongs to: prices, page numbers, times.
_AMOUNT = re.compile(r"[^\w\s]{0,2}\d[\d.,:/]{0,6}\s?(?:[^\w\s]|[a-zA-Z]{1,3})?")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Lines in a coordinate system in which they are level: float64 [n] each, in pixels, y downwards."""

    left: npt.NDArray[np.float64]
    top: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    bottom: npt.NDArray[np.float64]

    @property
    def height(self) -> npt.NDArray[np.float64]:
        return self.bottom - self.top

    @property
    def middle(self) -> npt.NDArray[np.float64]:
        return (self.top + self.bottom) / 2


def in_reading_order(lines: Sequence[TextLine]) -> list[TextLine]:
    """`lines` in the order of reading; pieces of one row that stand close are joined, and a price joins its item."""
    joined = _join_rows(list(lines))
    return [joined[index] for index in _order(_layout(joined))]


def paragraphs(lines: Sequence[TextLine]) -> list[str]:
    """The paragraphs of `lines`, which are in reading order: lines joined, words that a line's end divides made whole.

    A paragraph ends where the next line is further away, indented, of another size, or not below.
    """
    layout, found = _layout(lines), list[str]()
    for now, line in enumerate(lines):
        if now > 0 and _stands_below(now, layout) and not _is_indented(now, layout):
            found[-1] = _join_lines(found[-1], line.text)
        else:
            found.append(line.text)
    return found


def unwrapped(lines: Sequence[TextLine], longest: int) -> list[TextLine]:
    """`lines`, which are in reading order, with those made whole that go on below: "Please use" over "the back door.".

    So much is joined only where the words themselves say so, since lines of a sign may be left, right or centred and
    mean something each; and nothing of more than `longest` characters comes of it.
    """
    layout, found = _layout(lines), list[TextLine]()
    for now, line in enumerate(lines):
        text = _join_lines(found[-1].text, line.text) if found else ""
        if found and _stands_below(now, layout) and _goes_on(found[-1].text, line.text) and len(text) <= longest:
            first, last = found[-1].corners, line.corners
            confidence = min(found[-1].confidence, line.confidence)
            found[-1] = TextLine(text, confidence, np.array([first[0], first[1], last[2], last[3]], np.float32))
        else:
            found.append(line)
    return found


def _stands_below(now: int, layout: _Layout) -> bool:
    """Whether line `now` is the next line of what the one before it belongs to."""
    before, height = now - 1, layout.height
    size = max(height[before], height[now])
    below = layout.top[now] - layout.bottom[before]
    return bool(
        -0.5 * size < below < _PARAGRAPH_GAP * size
        and layout.middle[now] > layout.bottom[before] - 0.3 * size
        and layout.left[now] < layout.right[before]
        and layout.left[before] < layout.right[now]
        and size < 1.5 * min(height[before], height[now])
    )


def _is_indented(now: int, layout: _Layout) -> bool:
    size = max(layout.height[now - 1], layout.height[now])
    return bool(layout.left[now] - layout.left[now - 1] >= _INDENT * size)


def _goes_on(first: str, second: str) -> bool:
    """Whether a sentence goes on from `first` to `second`. A menu in small letters is a list, and so may "Coffee" over
    "tea" be: so a sentence has to begin before the small letter, or a word that ends none to stand there."""
    words = first.split()
    begun = first[:1].isupper() and first[-1].isalnum() and len(words) + len(second.split()) >= _LEAST_WORDS
    return second[:1].islower() and (begun or first[-1] in (",", *_HYPHENS) or words[-1].lower() in _NEVER_LAST.split())


def _join_lines(first: str, second: str) -> str:
    divided = len(first) > 1 and first[-1] in _HYPHENS and first[-2].isalpha() and second[:1].islower()
    return first[:-1] + second if divided else f"{first} {second}"


def _layout(lines: Sequence[TextLine]) -> _Layout:
    """Turned by the angle that most of the text has, so that a tilted page and one upside down are read alike."""
    if not lines:
        return _Layout(*(np.empty(0) for _ in range(4)))
    angles, lengths = np.array([line.angle for line in lines]), np.array([line.length for line in lines])
    apart = np.abs(np.angle(np.exp(1j * (angles[:, None] - angles[None]))))
    angle = angles[int((apart * lengths).sum(axis=1).argmin())]
    cosine, sine = np.cos(angle), np.sin(angle)
    level = np.array([line.corners for line in lines], np.float64) @ np.array([[cosine, -sine], [sine, cosine]])
    low, high = level.min(axis=1), level.max(axis=1)
    return _Layout(low[:, 0], low[:, 1], high[:, 0], high[:, 1])


def _join_rows(lines: list[TextLine]) -> list[TextLine]:
    """Join neighbours in a row, from the left, until nothing changes."""
    layout = _layout(lines)
    before: dict[int, int] = {}  # the line that each one goes on from; of several that want it, the rightmost
    for index in np.argsort(layout.left).tolist():
        if (after := _next_in_row(index, lines, layout)) is not None:
            before[after] = index
    following = {index: after for after, index in before.items()}
    rows = []
    for first in range(len(lines)):
        if first in before:
            continue
        row = [first]
        while row[-1] in following:
            row.append(following[row[-1]])
        rows.append(_joined([lines[index] for index in row]))
    return rows


def _next_in_row(index: int, lines: list[TextLine], layout: _Layout) -> int | None:
    """Which line goes on where line `index` ends."""
    height = layout.height
    overlap = np.minimum(layout.bottom[index], layout.bottom) - np.maximum(layout.top[index], layout.top)
    smaller, larger = np.minimum(height[index], height), np.maximum(height[index], height)
    gap = layout.left - layout.right[index]
    row = (overlap > _SAME_ROW * smaller) & (larger < _HEIGHT_RATIO * smaller) & (gap > -0.5 * smaller)
    row &= layout.left > layout.left[index]
    row[index] = False
    if not row.any():
        return None
    nearest = int(np.where(row, gap, np.inf).argmin())
    is_amount = _AMOUNT.fullmatch(lines[nearest].text) and not _AMOUNT.fullmatch(lines[index].text)
    return nearest if is_amount or gap[nearest] < _GAP_IN_ROW * smaller[nearest] else None


def _joined(row: list[TextLine]) -> TextLine:
    if len(row) == 1:
        return row[0]
    first, last = row[0].corners, row[-1].corners
    letters = [len(line.text) for line in row]
    confidence = float(np.average([line.confidence for line in row], weights=letters))
    corners = np.array([first[0], last[1], last[2], first[3]], np.float32)
    return TextLine(" ".join(line.text for line in row), confidence, corners)


def _order(layout: _Layout) -> list[int]:
    count = len(layout.left)
    left, right, middle = layout.left, layout.right, layout.middle
    shares_width = np.minimum(right[:, None], right) > np.maximum(left[:, None], left)
    above = middle[:, None] < middle
    beside = right[:, None] <= left
    # between[i, j, k]: k lies between i and j in height and shares width with both
    low, high = np.minimum(middle[:, None], middle), np.maximum(middle[:, None], middle)
    between = (low[:, :, None] < middle) & (middle < high[:, :, None])
    between &= shares_width[:, None, :] & shares_width[None, :, :]
    before = (shares_width & above) | (beside & ~between.any(axis=2))
    np.fill_diagonal(before, False)
    order: list[int] = []
    left_over = set(range(count))
    while left_over:
        waiting = sorted(left_over)
        free = [index for index in waiting if not before[waiting, index].any()]
        # The rules can run in a circle where boxes overlap; the uppermost line then breaks it.
        chosen = min(free or waiting, key=lambda index: (middle[index], left[index]))
        order.append(chosen)
        left_over.remove(chosen)
    return order
