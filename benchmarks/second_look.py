"""Does it help to look again, at a part of the picture? Presence questions seen whole, cropped and in tiles.

    python benchmarks/second_look.py --data flickr8k.tar
    python benchmarks/second_look.py --data folder/ --bundle DIR --photos 400

Every question is put to the whole picture squashed to the model's square, to its middle, and to five overlapping tiles;
the model's log-odds of "Yes." against "No." decide. Rules that use several looks are fitted (one threshold) on one half
of the photographs and scored on the other, both ways round. Intervals are 95 % bootstrap intervals over questions.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from machine import describe_machine
from rich.console import Console
from rich.progress import track

from lorgnette.assistant.config import load_config
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.frame import Frame
from lorgnette.llm.engine import Prompt, ScoringEngine
from lorgnette.llm.evaluation.caption_questions import balanced_presence
from lorgnette.llm.evaluation.dataset import PhotoSet

Floats = npt.NDArray[np.float64]

_MIDDLE = 0.75  # of a side
_TILE = 0.6
_CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
# Objects that as a rule fill less than a tenth of a photograph.
SMALL = {
    "ball",
    "hat",
    "helmet",
    "sunglasses",
    "frisbee",
    "toy",
    "bag",
    "bird",
    "rope",
    "skateboard",
    "guitar",
    "umbrella",
}

# How the looks [questions, 1 + 1 + tiles] at one picture become one number.
RULES: dict[str, Callable[[Floats], Floats]] = {
    "squash": lambda odds: odds[:, 0],
    "middle crop": lambda odds: odds[:, 1],
    "best tile": lambda odds: odds[:, 2:].max(1),
    "whole + best tile": lambda odds: (odds[:, 0] + odds[:, 2:].max(1)) / 2,
    "whole + mean of tiles": lambda odds: (odds[:, 0] + odds[:, 2:].mean(1)) / 2,
}


def part(frame: Frame, y: float, x: float, share: float) -> Frame:
    """The part with `share` of each side, placed from 0 (top, left) to 1 (bottom, right)."""
    h, w = round(frame.height * share), round(frame.width * share)
    top, left = round((frame.height - h) * y), round((frame.width - w) * x)
    return Frame(np.ascontiguousarray(frame.pixels[top : top + h, left : left + w]))


def looks(frame: Frame) -> list[Frame]:
    return [frame, part(frame, 0.5, 0.5, _MIDDLE), *(part(frame, y, x, _TILE) for y, x in _CORNERS)]


def balanced_accuracy(said: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> float:
    return 50 * float((said[right]).mean() + (~said[~right]).mean())


def decide(score: Floats, right: npt.NDArray[np.bool_], half: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Yes or no with the threshold that is best on the other half."""
    said = np.zeros(len(score), bool)
    for mine in (half, ~half):
        candidates = np.quantile(score[~mine], np.linspace(0.05, 0.95, 91))
        best = max(candidates, key=lambda t: balanced_accuracy(score[~mine] > t, right[~mine]))
        said[mine] = score[mine] > best
    return said


def interval(said: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> list[float]:
    rng = np.random.default_rng(0)
    rows = (rng.integers(0, len(said), len(said)) for _ in range(1000))
    return [
        round(float(b), 1) for b in np.percentile([balanced_accuracy(said[r], right[r]) for r in rows], [2.5, 97.5])
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder or tar with captions in its index.jsonl")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--bundle", help="a bundle's folder (default: the embedded model)")
    args = parser.parse_args()
    engine = Wiring(load_config(None, [f"engine.bundle={args.bundle}"] if args.bundle else [])).engine()
    assert isinstance(engine, ScoringEngine)
    photos = PhotoSet(args.data)
    chosen = [photo for photo in photos.photos if photo.split == args.split and photo.captions][: args.photos]
    asked = balanced_presence([photo.captions for photo in chosen], 12, random.Random(0))
    odds, right, small, half = [], [], [], []
    pairs = list(zip(chosen, asked, strict=True))
    for number, (photo, questions) in enumerate(track(pairs, "looking", console=Console(stderr=True))):
        views = looks(Frame(photos.pixels(photo))) if questions else []
        seen = np.zeros((len(questions), len(views)))
        for column, view in enumerate(views):
            for row, question in enumerate(questions):
                yes, no = engine.log_probabilities(Prompt(question.text, view), ["Yes.", "No."])
                seen[row, column] = yes - no
        odds.append(seen)
        right += [question.answers[0] == "Yes." for question in questions]
        small += [bool(SMALL & set(question.text.strip("?").split())) for question in questions]
        half += [number % 2 == 0] * len(questions)
    all_odds = np.concatenate([seen for seen in odds if len(seen)])
    truth, little, first = np.array(right), np.array(small), np.array(half)
    result: dict[str, object] = {"machine": describe_machine(), "questions": len(truth), "small": int(little.sum())}
    for name, rule in RULES.items():
        said = decide(rule(all_odds), truth, first)
        result[name] = {
            "all": round(balanced_accuracy(said, truth), 1),
            "interval": interval(said, truth),
            "small things": round(balanced_accuracy(said[little], truth[little]), 1),
            "small interval": interval(said[little], truth[little]),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
