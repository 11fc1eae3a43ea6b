"""Which answers are worth showing, and their pictures small enough to be put into a page."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np

from lorgnette.llm.evaluation.record import Photo
from lorgnette.llm.evaluation.scoring import Judged
from lorgnette.llm.evaluation.selection import Selection
from lorgnette.llm.evaluation.task import Outcome

_SIDE = 224
_JPEG_QUALITY = 72
_ORDER = (Outcome.WRONG, Outcome.MISSING, Outcome.RIGHT)


def choose_examples(entries: Sequence[Judged], count: int) -> list[Judged]:
    """At most `count`: two thirds wrong or missing where there are so many, of all kinds in turn, those first that the
    engine was surest of. Answers that are neither right nor wrong come worst first, then best."""
    if entries and all(entry.judgement.outcome is Outcome.NONE for entry in entries):
        ranked = sorted(entries, key=lambda entry: next(iter(entry.judgement.stats.values()))[0])
        worst = count * 2 // 3
        return ranked if len(ranked) <= count else [*ranked[:worst], *ranked[: worst - count - 1 : -1]]
    groups = {outcome: _in_turn([e for e in entries if e.judgement.outcome is outcome]) for outcome in _ORDER}
    failed = [*groups[Outcome.WRONG], *groups[Outcome.MISSING]]
    right = groups[Outcome.RIGHT]
    shown = failed[: max(count * 2 // 3, count - len(right))]
    return [*shown, *right[: count - len(shown)]]


def _in_turn(entries: Sequence[Judged]) -> list[Judged]:
    """One of each kind, then another of each, and so on."""
    kinds: dict[str, list[Judged]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: -entry.answer.log_probability):
        kinds[entry.item.kind].append(entry)
    ranked = [(place, index, entry) for index, kind in enumerate(kinds.values()) for place, entry in enumerate(kind)]
    return [entry for _, _, entry in sorted(ranked, key=lambda row: row[:2])]


def thumbnail(selection: Selection, image: str) -> str:
    """A `data:` address of the picture, at most 224 pixels a side."""
    pixels = selection.source.pixels(Photo(image))
    scale = min(1.0, _SIDE / max(pixels.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in pixels.shape[1::-1])
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    _, encoded = cv2.imencode(
        ".jpg", np.ascontiguousarray(small[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
