"""Keep in trained weights how sure their answers may be taken to be.

    python -m lorgnette.export.train.calibrate run/adapter.safetensors evaluation/report.json

The report is that of `lorgnette evaluate` on photographs that are not among those the figures are quoted on (the dev
split). The next bundle that is built from the weights has the calibration in its manifest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lorgnette.device.errors import LorgnetteError
from lorgnette.export.adapter import calibrate


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lorgnette.export.train.calibrate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("adapter", type=Path)
    parser.add_argument("report", type=Path, help="report.json of `lorgnette evaluate`")
    args = parser.parse_args()
    try:
        print(calibrate(args.adapter, args.report))
    except LorgnetteError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
