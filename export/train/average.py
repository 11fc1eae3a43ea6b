"""Average trained weights of one family: two ends of a training often make a better model than either.

    python -m lorgnette.export.train.average one/adapter.safetensors other/adapter.safetensors --out adapter.safetensors

All must come from the same start (M. Wortsman et al., "Model soups", 2022). A calibration does not outlive it: evaluate
the result and calibrate it anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lorgnette.device.errors import LorgnetteError
from lorgnette.export.adapter import average


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lorgnette.export.train.average", description=__doc__.splitlines()[0]
    )
    parser.add_argument("adapters", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        average(args.adapters, args.out)
    except LorgnetteError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
