"""Build a model bundle: ONNX sessions, tokenizer and manifest in one folder.

examples:
  lorgnette export embedded --out bundle/
  lorgnette export embedded --out bundle/ --precision fp32 int8
  lorgnette export embedded --out bundle/ --adapter mine.safetensors --force

MODEL is `embedded`, the model that is built from the weights of `lorgnette models`. A bundle that is there already and
was made from the same files is left as it is. Use one with --set engine.bundle=bundle/.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lorgnette.assistant.embedded_bundle import shipped_adapter
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.errors import InputError
from lorgnette.llm.bundle import ModelBundle

Build = Callable[[Callable[[str, float], None]], ModelBundle]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=f"one of: {', '.join(_BUILDERS)}")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the bundle goes")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("int8", "fp32"),
        default=["int8"],
        help="precisions of the language model to write; the first is the one that is run (default: int8)",
    )
    parser.add_argument("--adapter", type=Path, metavar="FILE", help="trained weights other than the shipped ones")
    parser.add_argument("--force", action="store_true", help="build even if the bundle is up to date")
    parser.add_argument("--json", action="store_true", help="print the manifest")


def run(args: argparse.Namespace) -> int:
    builder = _BUILDERS.get(args.model)
    if builder is None:
        raise InputError(f"cannot export {args.model!r}", f"choose from: {', '.join(_BUILDERS)}")
    build = builder(args)  # fetches the weights, which shows progress of its own
    bar = Progress(TextColumn("{task.description:<30}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True))
    with bar:
        task = bar.add_task("", total=1.0)
        bundle = build(lambda stage, done: bar.update(task, description=stage, completed=done))
    if args.json:
        print((bundle.folder / "manifest.json").read_text(encoding="utf-8"), end="")
        return 0
    for file in bundle.files:
        print(f"{file.size / 1e6:8.1f} MB  {bundle.folder / file.name}")
    if bundle.parity:
        print("against fp32: " + json.dumps({key: round(value, 4) for key, value in bundle.parity.items()}))
    return 0


def _embedded(args: argparse.Namespace) -> Build:
    from lorgnette.export.embedded import build

    store = WeightStore.from_config(args.config)
    sources = (store.path("smollm2-135m-instruct"), store.path("efficientnet-lite2"), args.adapter or shipped_adapter())
    return functools.partial(build, *sources, args.out, precisions=args.precision, force=args.force)


_BUILDERS: dict[str, Callable[[argparse.Namespace], Build]] = {"embedded": _embedded}
