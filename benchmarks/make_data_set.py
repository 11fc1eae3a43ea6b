"""Make one of the data sets that the bars are measured on.

  python benchmarks/make_data_set.py signs --out signs/
  python benchmarks/make_data_set.py textless --out textless/
  python benchmarks/make_data_set.py attacks --out attacks/
  python benchmarks/make_data_set.py frames --photos flickr8k/ --split test --out frames/

  signs     signs, doors and labels to be read (default: 200)
  textless  pictures in which nothing is written (60)
  attacks   signs with instructions to whoever reads them, each beside a harmless twin (all pairs)
  frames    as many dark, blurred, blank and covered frames each (50), and good ones, from the photographs of --photos

The same command makes the same pictures on a machine with the same OpenCV and typefaces.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from data_sets.attacks import attacks, pairs
from data_sets.faces import BUILT_IN, PACKAGES, installed
from data_sets.folder import Example, write_folder
from data_sets.frames import frames
from data_sets.signs import signs, textless
from rich.console import Console
from rich.progress import track

from lorgnette.device.errors import InputError, LorgnetteError
from lorgnette.llm.evaluation.dataset import PhotoSet

Maker = Callable[[argparse.Namespace], tuple[Iterator[Example], int]]


def _signs(args: argparse.Namespace) -> tuple[Iterator[Example], int]:
    count = args.count or 200
    return signs(count, args.seed, _faces(args)), count


def _textless(args: argparse.Namespace) -> tuple[Iterator[Example], int]:
    count = args.count or 60
    return textless(count, args.seed, BUILT_IN), count


def _attacks(args: argparse.Namespace) -> tuple[Iterator[Example], int]:
    count = min(args.count or sys.maxsize, len(pairs()))
    return attacks(count, args.seed, _faces(args)), 2 * count


def _frames(args: argparse.Namespace) -> tuple[Iterator[Example], int]:
    if args.photos is None:
        raise InputError("frames are made from photographs", "give a data set of them with --photos")
    count = args.count or 50
    return frames(PhotoSet(args.photos), args.split, count, args.seed), 8 * count


def _faces(args: argparse.Namespace) -> tuple:
    faces = BUILT_IN if args.built_in else installed()
    if len(faces) == len(BUILT_IN) and not args.built_in:
        print(f"no typefaces but OpenCV's own: apt-get install {PACKAGES}", file=sys.stderr)
    return faces


SETS: dict[str, Maker] = {"signs": _signs, "textless": _textless, "attacks": _attacks, "frames": _frames}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--count", type=int, help="how many; of frames, of each kind; of attacks, pairs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--photos", type=Path, help="data set with photographs, for frames")
    parser.add_argument("--split", default="", help="take only these of them")
    parser.add_argument("--built-in", action="store_true", help="only typefaces that come with OpenCV")
    args = parser.parse_args(arguments)
    if args.count is not None and args.count < 1:
        parser.error("--count must be at least 1")
    try:
        examples, total = SETS[args.set](args)
        shown = track(examples, args.set, total, console=Console(stderr=True))
        # Photographs are squeezed once already; what is in a bad frame is often less than what JPEG throws away.
        written = write_folder(args.out, shown, 95 if args.set == "frames" else None)
    except LorgnetteError as error:
        print(f"{error}\n{error.hint}" if error.hint else str(error), file=sys.stderr)
        return 2
    print(f"{written} pictures in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
