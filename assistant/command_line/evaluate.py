"""Measure how good an engine's answers about pictures are, against blind and shuffled baselines.

examples:
  lorgnette evaluate photos/ --out run/ --html
  lorgnette evaluate flickr8k.tar visual7w.tar --photos 200 --tasks captions,presence,choices
  lorgnette evaluate photos/ --set engine.bundle=bundle/ --json
  lorgnette evaluate --compare int8/report.json pytorch/report.json

DATA is a folder or tar with an index.jsonl beside its pictures, or with a sub-folder of pictures for each label
(docs/evaluation.md). What was answered is kept in the --out folder at once: an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.assistant.wiring import ENGINES as WEIGHTLESS
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import InputError

if TYPE_CHECKING:
    from lorgnette.llm.engine import Engine
    from lorgnette.llm.evaluation.answers import AnswerFile
    from lorgnette.llm.evaluation.plan import Visit

_CONDITIONS = ("picture", "shuffled", "blind")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, nargs="*", metavar="DATA", help="a data set: a folder or a tar")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for answers and reports (default: evaluation/...)")
    parser.add_argument("--html", action="store_true", help="write report.html, too: one file with pictures")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--split", help="which split (default: test, else dev, else everything)")
    parser.add_argument("--photos", type=_count, metavar="N", help="at most N photographs of each set, at random")
    parser.add_argument("--tasks", type=_names, default=[], metavar="A,B", help="only these (default: all that fit)")
    parser.add_argument(
        "--conditions", type=_names, default=list(_CONDITIONS), metavar="A,B", help="of picture, shuffled, blind"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of photographs and questions (default: 0)")
    parser.add_argument(
        "--engine", default="settings", metavar="NAME", help=f"one of: {', '.join(ENGINES)} (default: settings)"
    )
    parser.add_argument("--adapter", type=Path, metavar="FILE", help="for --engine pytorch: what made the bundle")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="REPORT", help="two reports, instead of a measurement")


def run(args: argparse.Namespace) -> int:
    if args.compare:
        first, second = args.compare
        return _compare(first, second, args.json)
    from lorgnette.llm.engine import ScoringEngine
    from lorgnette.llm.evaluation.answers import AnswerFile
    from lorgnette.llm.evaluation.plan import plan_tasks, plan_visits
    from lorgnette.llm.evaluation.report import make_report, table
    from lorgnette.llm.evaluation.scoring import score
    from lorgnette.llm.evaluation.selection import select
    from lorgnette.llm.evaluation.task import Condition
    from lorgnette.llm.evaluation.tasks import choose_tasks

    # Bad input is found before anything is fetched or loaded.
    if not args.data:
        raise InputError("evaluate on what?", "name a data set, as in: lorgnette evaluate photos/")
    tasks, conditions = choose_tasks(args.tasks), [Condition(name) for name in _known_conditions(args.conditions)]
    selections = select(args.data, args.split, args.photos, args.seed)
    if args.engine not in ENGINES:
        raise InputError(f"there is no engine {args.engine!r}", f"choose from {', '.join(ENGINES)}")
    # Reading a picture before anybody asks what it says pays off while a wearer speaks, not here.
    reading = dataclasses.replace(args.config.reading, ahead=False)
    wiring = Wiring(dataclasses.replace(args.config, reading=reading), BuildProgress())
    engine = ENGINES[args.engine](wiring, args)
    identity = _identity(args.engine, engine, wiring)
    runs = plan_tasks(tasks, selections, conditions, args.seed, isinstance(engine, ScoringEngine))
    if not runs:
        raise InputError("the data has nothing for these tasks", "docs/evaluation.md says what each task needs")
    out = args.out or Path("evaluation") / f"{engine.name}-{_digest(identity)}"
    with AnswerFile(out / "answers.jsonl", identity) as answers:
        unreadable = _ask(engine, plan_visits(runs), answers)
        scores = [score(task_run, answers) for task_run in runs]
    report = make_report(identity, selections, scores, unreadable, args.seed)
    _write(out / "report.json", json.dumps(report, ensure_ascii=False))
    if args.html:
        from lorgnette.llm.evaluation.page import make_page

        _write(out / "report.html", make_page(report, scores))
    print(json.dumps(report, ensure_ascii=False) if args.json else table(report))
    print(f"kept in {out}", file=sys.stderr)
    return 0


def _compare(first: Path, second: Path, as_json: bool) -> int:
    from lorgnette.llm.evaluation.comparison import compare, comparison_table

    record = compare(first, second)
    print(json.dumps(record, ensure_ascii=False) if as_json else comparison_table(record))
    return 0


def _ask(engine: Engine, visits: list[Visit], answers: AnswerFile) -> list[str]:
    """Ask everything that is not answered yet, with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from lorgnette.llm.evaluation.runner import run_visits

    columns = (TextColumn("answers"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("answers", total=sum(len(visit.asks) for visit in visits))
            return run_visits(engine, visits, answers, lambda count: progress.advance(bar, count))
    except KeyboardInterrupt:
        print(f"stopped with {len(answers)} answers in {answers.path}; the same command goes on", file=sys.stderr)
        raise


def _identity(kind: str, engine: Engine, wiring: Wiring) -> dict[str, object]:
    """What makes answers comparable and a run resumable: the engine, its weights, and how it chooses tokens."""
    from importlib.metadata import version

    config = wiring.config
    settings = dataclasses.asdict(config.engine) | {"reading": dataclasses.asdict(config.reading)}
    del settings["bundle"]  # a folder; what is in it counts
    weights = "" if config.engine.bundle in WEIGHTLESS else wiring.bundle().inputs
    return {
        "engine": kind,
        "name": engine.name,
        "weights": weights,
        "settings": settings,
        "lorgnette": version("lorgnette"),
    }


def _digest(identity: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", "give another --out") from error


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


_count.__name__ = "number of photographs"  # argparse names it in its error


def _names(text: str) -> list[str]:
    return [name for name in text.replace(" ", "").split(",") if name]


def _known_conditions(names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in _CONDITIONS]
    if unknown or not names:
        raise InputError(f"there is no condition {''.join(unknown[:1])!r}", f"choose from {', '.join(_CONDITIONS)}")
    return names


def _from_settings(wiring: Wiring, args: argparse.Namespace) -> Engine:
    return wiring.engine()


def _pytorch(wiring: Wiring, args: argparse.Namespace) -> Engine:
    """The bundle's language model in PyTorch and float32, from the files that the bundle was made of."""
    from lorgnette.assistant.embedded_bundle import shipped_adapter
    from lorgnette.assistant.wiring import engine_settings

    try:
        from lorgnette.export.train.torch_engine import TorchEngine
    except ImportError as error:
        raise InputError("PyTorch is not installed", "pip install 'lorgnette[export]'") from error
    gguf, adapter = wiring.store().path("smollm2-135m-instruct"), args.adapter or shipped_adapter()
    return wiring.engine(TorchEngine(wiring.bundle(), gguf, adapter, engine_settings(wiring.config)))


# Engines that can be measured, by the name for --engine.
ENGINES: dict[str, Callable[[Wiring, argparse.Namespace], Engine]] = {"settings": _from_settings, "pytorch": _pytorch}
