"""Hold conversations that are written down in files, and judge them: a synthetic wearer in a simulated room.

examples:
  lorgnette scenario tests/scenarios/*.yaml
  lorgnette scenario mine.yaml --keep run/ --strict
  lorgnette scenario mine.yaml --set engine.bundle=bundle/

docs/scenarios.md describes the files. The wearer's voices are those of flite and espeak-ng (apt-get install flite
espeak-ng). The exit code is 1 where something was not as expected.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.device.errors import InputError

if TYPE_CHECKING:
    from lorgnette.assistant.scenario.judge import Verdict
    from lorgnette.assistant.scenario.window import Performance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="scenarios")
    parser.add_argument("--strict", action="store_true", help="an answer that comes late is a failure, too")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write events and both sides of the sound there")
    parser.add_argument("--json", action="store_true", help="print a record for a program, a line for each scenario")


def run(args: argparse.Namespace) -> int:
    from lorgnette.assistant.scenario.judge import judge
    from lorgnette.assistant.scenario.performance import perform
    from lorgnette.assistant.scenario.scenario_file import read_scenario
    from lorgnette.assistant.scenario.stage import Stage

    scenarios = [read_scenario(path) for path in args.files]  # mistakes are found before anything is loaded
    file = args.config_after or args.config_before
    offline = ["offline=true"] if args.config.offline else []
    stage = Stage(Path(file) if file else None, [*args.set_before, *args.set_after, *offline], BuildProgress())
    configs = [stage.config(scenario.settings) for scenario in scenarios]
    failed = 0
    for scenario, config in zip(scenarios, configs, strict=True):
        parts = stage.parts(config)
        performance = perform(scenario, parts, config)
        verdict = judge(performance, parts.turns.transcriber(), args.strict)
        failed += bool(verdict.failures)
        if args.keep is not None:
            keep(performance, args.keep)
        print(record(verdict) if args.json else told(verdict), flush=True)
    print(f"{len(scenarios) - failed} of {len(scenarios)} scenarios passed", file=sys.stderr)
    return int(failed > 0)


def told(verdict: Verdict) -> str:
    """A verdict for people."""
    times = [f"{step.first_sound_ms:.0f} ms" for step in verdict.steps if step.first_sound_ms is not None]
    head = f"{'failed' if verdict.failures else 'passed'}  {verdict.name}" + (
        f"  ({', '.join(times)})" if times else ""
    )
    return "\n".join([head, *(f"        {failure}" for failure in verdict.failures)])


def record(verdict: Verdict) -> str:
    """A verdict for programs."""
    return json.dumps(dataclasses.asdict(verdict) | {"passed": not verdict.failures}, ensure_ascii=False)


def keep(performance: Performance, folder: Path) -> None:
    """Write what happened as NAME.jsonl, and both sides of the sound as NAME.listened.wav and NAME.heard.wav."""
    from lorgnette.assistant.live.events import as_message
    from lorgnette.device.wav import write_wav

    name = performance.scenario.name
    lines = [
        json.dumps({"at_s": round(one.at_s, 3), "step": number} | as_message(one.event), ensure_ascii=False)
        for number, window in enumerate(performance.windows, 1)
        for one in window.happened
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jsonl").write_text("\n".join([*lines, ""]), "utf-8")
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}", "choose another folder") from error
    write_wav(folder / f"{name}.listened.wav", [performance.listened])
    write_wav(folder / f"{name}.heard.wav", [performance.heard])
