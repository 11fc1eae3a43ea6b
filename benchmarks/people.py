"""How well would a person do? Each caption is held out in turn, and answers the questions that the others make.

    python benchmarks/people.py flickr8k.tar
    python benchmarks/people.py photos/ --split dev --json

The figures are those of `lorgnette evaluate` (CIDEr-D; colours, counts and activities with balanced answers), so they
say what can be expected at most of a model that sees as well as people do. A person answers only what they happened to
write about, so the true agreement is rather lower. Intervals are 95 % bootstrap intervals over photographs.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from lorgnette.llm.evaluation.balance import balanced
from lorgnette.llm.evaluation.caption_questions import short_questions
from lorgnette.llm.evaluation.cider import cider_d
from lorgnette.llm.evaluation.dataset import PhotoSet
from lorgnette.llm.evaluation.matching import answer_group, contained

Floats = npt.NDArray[np.float64]
_KINDS = {"colour": "colours", "count": "counts", "activity": "activities"}
_DRAWS = 1000


def answers_of_people(photos: Sequence[Sequence[str]], held_out: int) -> list[tuple[int, str, str, bool]]:
    """What the held-out caption of each photo answers: photo, kind, the answer's group, whether the others agree."""
    found = []
    for place, captions in enumerate(photos):
        if held_out >= len(captions):
            continue
        theirs = {question.text: question.answers[0] for question in short_questions([captions[held_out]])}
        for question in short_questions([*captions[:held_out], *captions[held_out + 1 :]]):
            if question.text in theirs:
                right = contained(theirs[question.text], question.answers, question.kind)
                found.append((place, question.kind, answer_group(question.answers[0], question.kind), right))
    return found


def estimate(places: Sequence[int], values: Sequence[float], photos: int) -> tuple[float, float, float]:
    """Mean and its interval, resampling photographs."""
    sums, counts = (np.bincount(places, weights, photos) for weights in (np.array(values, float), None))
    rows = np.random.default_rng(0).integers(0, photos, (_DRAWS, photos))
    drawn = sums[rows].sum(1) / counts[rows].sum(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(sums.sum() / counts.sum()), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder or tar with captions, several for each photograph")
    parser.add_argument("--split", default="test")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    photos = [p.captions for p in PhotoSet(args.data).photos if p.split == args.split and len(p.captions) > 1]
    if not photos:
        parser.exit(2, f"{parser.prog}: {args.data} has no photographs of {args.split!r} with several captions\n")
    most = max(map(len, photos))
    places, scores = [], []
    answered = []
    for held_out in range(most):
        rows = [i for i, captions in enumerate(photos) if held_out < len(captions)]
        references = [[*photos[i][:held_out], *photos[i][held_out + 1 :]] for i in rows]
        places += rows
        scores += cider_d([photos[i][held_out] for i in rows], references)
        answered += answers_of_people(photos, held_out)
    figures = {"captions, CIDEr-D x 100": estimate(places, [100 * score for score in scores], len(photos))}
    for kind, name in _KINDS.items():
        asked = balanced([one for one in answered if one[1] == kind], lambda one: one[2], random.Random(kind))
        values = [100.0 * right for *_, right in asked]
        figures[f"{name}, % contained ({len(asked)} answers)"] = estimate(
            [one[0] for one in asked], values, len(photos)
        )
    if args.json:
        print(json.dumps(figures, indent=2))
        return
    table = Table("people", "", "95 %")
    for name, (value, low, high) in figures.items():
        table.add_row(name, f"{value:.1f}", f"[{low:.1f}, {high:.1f}]")
    Console().print(table)


if __name__ == "__main__":
    main()
