"""Are the answers about the picture? Captions (CIDEr-D) and presence questions on photographs with captions.

    python benchmarks/picture_answers.py --data flickr8k.tar            the embedded model, built where it is missing
    python benchmarks/picture_answers.py --data folder/ --bundle DIR    another bundle

Every figure comes with two baselines: a picture that belongs to another question (shuffled) and none at all (blind).
Presence asks for every object as often with yes as with no, so that blind answers are near 50 %. Intervals are 95 %
bootstrap intervals over photographs or questions.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from machine import describe_machine
from rich.console import Console
from rich.progress import track

from lorgnette.assistant.config import load_config
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.frame import Frame
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Engine, Prompt
from lorgnette.llm.evaluation.caption_questions import balanced_presence
from lorgnette.llm.evaluation.cider import cider_d
from lorgnette.llm.evaluation.dataset import PhotoSet

CONDITIONS = ("picture", "shuffled", "blind")
DESCRIBE = "Describe the picture."
TALK = Console(stderr=True)


def answer(engine: Engine, question: str, picture: Frame | None) -> str:
    return "".join(token.text for token in engine.stream(Prompt(question, picture), CancelScope())).strip()


def shown(frames: Sequence[Frame], condition: str) -> Iterator[Frame | None]:
    """The picture that stands for each photo: its own, the one half the set away, none."""
    for i, frame in enumerate(frames):
        other = frames[(i + len(frames) // 2) % len(frames)]
        yield {"picture": frame, "shuffled": other, "blind": None}[condition]


def interval(values: Sequence[float]) -> list[float]:
    """95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    array = np.asarray(values)
    means = array[rng.integers(0, len(array), (1000, len(array)))].mean(1)
    return [round(float(bound), 1) for bound in np.percentile(means, [2.5, 97.5])]


def score_captions(
    engine: Engine, frames: list[Frame], captions: list[Sequence[str]], condition: str
) -> dict[str, object]:
    label = f"captions, {condition}"
    texts = [answer(engine, DESCRIBE, frame) for frame in track(list(shown(frames, condition)), label, console=TALK)]
    scores = [100 * score for score in cider_d(texts, captions)]
    return {"cider_d": round(float(np.mean(scores)), 1), "interval": interval(scores), "examples": texts[:8]}


def score_presence(
    engine: Engine, frames: list[Frame], captions: list[Sequence[str]], condition: str
) -> dict[str, object]:
    asked = balanced_presence(captions, 12, random.Random(0))
    right: dict[str, list[float]] = {"Yes.": [], "No.": []}
    pairs = list(zip(shown(frames, condition), asked, strict=True))
    for frame, questions in track(pairs, f"presence, {condition}", console=TALK):
        for question in questions:
            said = answer(engine, question.text, frame).lower()
            right[question.answers[0]].append(100.0 * said.startswith(question.answers[0][:-1].lower()))
    yes, no = (float(np.mean(right[key])) for key in ("Yes.", "No."))
    return {
        "balanced": round((yes + no) / 2, 1),
        "interval": interval(right["Yes."] + right["No."]),
        "yes": round(yes, 1),
        "no": round(no, 1),
        "questions": sum(map(len, right.values())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder or tar with index.jsonl")
    parser.add_argument("--split", default="test")
    parser.add_argument("--photos", type=int, default=1000, help="at most so many photographs")
    parser.add_argument("--bundle", help="a bundle's folder (default: the embedded model)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    config = load_config(None, [f"engine.bundle={args.bundle}"] if args.bundle else [])
    engine = Wiring(config).engine()
    photos = PhotoSet(args.data)
    chosen = [photo for photo in photos.photos if photo.split == args.split][: args.photos]
    frames = [Frame(photos.pixels(photo)) for photo in chosen]
    captions: list[Sequence[str]] = [photo.captions for photo in chosen]
    result: dict[str, object] = {"machine": describe_machine(), "engine": engine.name, "photos": len(chosen)}
    for condition in CONDITIONS:
        result[condition] = {
            "captions": score_captions(engine, frames, captions, condition),
            "presence": score_presence(engine, frames, captions, condition),
        }
        print(condition, json.dumps(result[condition]), file=sys.stderr)
    print(json.dumps(result, indent=None if args.json else 2))


if __name__ == "__main__":
    main()
