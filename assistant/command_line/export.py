"""Make a model bundle: ONNX sessions, tokenizer, manifest and report in one folder.

examples:
  lorgnette export ./my-smolvlm --profile pi5 --out bundle/
  lorgnette export org/name@main --lora ./my-adapter --profile cpu --decoder int4 int8 --out bundle/
  lorgnette export model.gguf --profile cpu --out bundle/
  lorgnette export embedded --out bundle/
  lorgnette export inspect bundle/
  lorgnette export verify bundle/
  lorgnette export compare bundle/ other/

SOURCE is a folder that `save_pretrained` wrote, a GGUF file of a Llama or Qwen2, a repository on the hub, or
`embedded`, the model that is built from the weights of `lorgnette models`. What is written is compared with the model
it was made of and measured; a bundle that misses a bar is not kept. report.html shows it. A bundle that is there
already and was made of the same is left as it is. Use one with --set engine.bundle=bundle/.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lorgnette.assistant.embedded_bundle import shipped_adapter
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.errors import InputError
from lorgnette.export.precision import PRECISIONS
from lorgnette.llm.bundle import ModelBundle

if TYPE_CHECKING:
    from lorgnette.export.profile import Profile

Build = Callable[[Callable[[str, float], None]], ModelBundle]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="folder, GGUF file, org/name[@revision], embedded; or a verb")
    parser.add_argument("bundles", metavar="BUNDLE", nargs="*", type=Path, help="what a verb looks at")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the bundle goes")
    parser.add_argument("--profile", metavar="NAME", help="cpu (default), pi5, cuda, browser, webgpu, exact, or a file")
    names = tuple(PRECISIONS)
    parser.add_argument("--decoder", nargs="+", choices=names, metavar="P", help="its precisions, the first is run")
    parser.add_argument("--vision", nargs="+", choices=names, metavar="P", help="those of the image encoder")
    parser.add_argument("--revision", metavar="R", help="a branch, tag or commit of a repository")
    parser.add_argument("--lora", type=Path, metavar="FOLDER", help="a PEFT LoRA adapter to merge first")
    parser.add_argument("--adapter", type=Path, metavar="FILE", help="embedded: other trained weights")
    parser.add_argument("--no-pytorch", action="store_true", help="do not compare with the model in PyTorch")
    parser.add_argument("--keep-anyway", action="store_true", help="keep a bundle that misses a bar")
    parser.add_argument("--force", action="store_true", help="build even if the bundle is up to date")
    parser.add_argument("--json", action="store_true", help="print the report, or for embedded the manifest")
    parser.epilog = f"{parser.epilog}\nprecisions P: {', '.join(names)}"


def run(args: argparse.Namespace) -> int:
    if args.source in _VERBS and not Path(args.source).exists():
        return _VERBS[args.source](args)
    if args.bundles:
        raise InputError(f"one source at a time, not also {args.bundles[0]}", f"the verbs are {', '.join(_VERBS)}")
    if args.out is None:
        raise InputError("no place for the bundle", "give a folder with --out")
    builder = _embedded if args.source == "embedded" else _checkpoint
    build = builder(args)  # fetches what is missing, which shows progress of its own
    bar = Progress(TextColumn("{task.description:<36}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True))
    with bar:
        task = bar.add_task("", total=1.0)
        bundle = build(lambda stage, done: bar.update(task, description=stage, completed=done))
    _show(bundle, as_json=args.json)
    return 0


def _embedded(args: argparse.Namespace) -> Build:
    from lorgnette.export.embedded import build

    for name in ("profile", "vision", "revision", "lora"):
        if getattr(args, name):
            raise InputError(f"the embedded model takes no --{name}", "leave it out")
    store = WeightStore.from_config(args.config)
    sources = (store.path("smollm2-135m-instruct"), store.path("efficientnet-lite2"), args.adapter or shipped_adapter())
    return functools.partial(build, *sources, args.out, precisions=args.decoder or ["int8"], force=args.force)


def _checkpoint(args: argparse.Namespace) -> Build:
    from lorgnette.assistant.weights.progress import RichProgress
    from lorgnette.export.checkpoint.source import open_checkpoint
    from lorgnette.export.exporter import export_checkpoint

    if args.adapter:
        raise InputError("--adapter is for the embedded model", "merge a LoRA with --lora")
    profile = _profile(args)
    cache = WeightStore.from_config(args.config).root / "checkpoints"
    checkpoint = open_checkpoint(
        args.source, revision=args.revision, lora=args.lora, cache=cache, progress=RichProgress()
    )
    return functools.partial(
        export_checkpoint,
        checkpoint,
        args.out,
        profile,
        with_pytorch=not args.no_pytorch,
        keep_anyway=args.keep_anyway,
        force=args.force,
    )


def _profile(args: argparse.Namespace) -> Profile:
    from lorgnette.export.profile import read_profile

    profile = read_profile(args.profile or "cpu")
    decoder, vision = tuple(args.decoder or profile.decoder), tuple(args.vision or profile.vision)
    return replace(profile, decoder=decoder, vision=vision)


def _inspect(args: argparse.Namespace) -> int:
    """What a bundle holds and what its report says."""
    _show(ModelBundle.open(_bundles(args, 1)[0]), as_json=args.json)
    return 0


def _verify(args: argparse.Namespace) -> int:
    """Every file against its hash, every session run, what holds for any decoder computed once more. 1 if not so."""
    from lorgnette.export.verification.verify import verify

    bars = verify(ModelBundle.open(_bundles(args, 1)[0], verify=True))
    if args.json:
        print(json.dumps([asdict(bar) for bar in bars], indent=1))
    else:
        for bar in bars:
            print(f"{'ok   ' if bar.met else 'WRONG'}  {bar.name}: {bar.measured} (wanted {bar.wanted})")
    return 0 if all(bar.met for bar in bars) else 1


def _compare(args: argparse.Namespace) -> int:
    """How far the second bundle is from the first, each in its default precisions."""
    from lorgnette.export.verification.bundles import compare_bundles

    figures = compare_bundles(*(ModelBundle.open(folder) for folder in _bundles(args, 2)))
    if args.json:
        print(json.dumps(figures, indent=1))
        return 0
    for name, value in figures.items():
        print(f"{name.replace('_', ' ')}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    return 0


def _bundles(args: argparse.Namespace, count: int) -> list[Path]:
    if len(args.bundles) != count:
        raise InputError(f"{args.source} takes {count} of BUNDLE, not {len(args.bundles)}", "name the folder of each")
    return list(args.bundles)


def _show(bundle: ModelBundle, *, as_json: bool) -> None:
    """A bundle's report on standard output, or what there is in its place where it has none."""
    path = bundle.folder / "report.json"
    if as_json:
        print((path if path.exists() else bundle.folder / "manifest.json").read_text(encoding="utf-8"), end="")
        return
    for file in bundle.files:
        if file.size >= 1e5:
            print(f"{file.size / 1e6:8.1f} MB  {bundle.folder / file.name}")
    if path.exists():
        from lorgnette.export.verification.report import summary

        print("\n".join(summary(json.loads(path.read_text(encoding="utf-8")))))
        print(f"pictures and tokens: {bundle.folder / 'report.html'}")
    elif bundle.parity:
        print("against fp32: " + json.dumps({key: round(value, 4) for key, value in bundle.parity.items()}))


_VERBS: dict[str, Callable[[argparse.Namespace], int]] = {"inspect": _inspect, "verify": _verify, "compare": _compare}
