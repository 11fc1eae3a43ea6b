"""Show where the time of the last turns went.

examples:
  lorgnette trace
  lorgnette trace --last 5
  lorgnette trace --last 20 --json

A bar for each stage of a turn, by when it began and how long it took; times count from the end of the question. The
records are on this machine only, and there are no words and no pixels in them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING

from lorgnette.assistant.command_line.waterfall import summary, waterfall
from lorgnette.assistant.trace import TraceError
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import InputError

if TYPE_CHECKING:
    from lorgnette.assistant.trace import TurnTrace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--last", type=int, default=1, metavar="N", help="how many turns (default: 1), the newest last")
    parser.add_argument("--json", action="store_true", help="print the records, and what is made of them, as JSON")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    if args.last < 1:
        raise InputError("--last takes 1 or more", "leave it out for the last turn")
    log = Wiring(args.config).traces()
    if log is None:
        raise TraceError("no traces are kept", "take trace.enabled=false out of the settings")
    traces = log.last(args.last)
    if args.json:
        print(json.dumps([record(trace) for trace in traces], indent=1))
    elif not traces:
        print("no turns yet: ask something first, as with lorgnette demo", file=sys.stderr)
    console = Console(highlight=False, soft_wrap=True)
    for trace in [] if args.json else traces:
        console.print(f"{trace.began}  {title(trace)}", markup=False)
        console.print(waterfall(trace))
        if figures := summary(trace):
            console.print(f"  {figures}\n", markup=False)
    return 0


def title(trace: TurnTrace) -> str:
    """What kind of turn it was and how it ended."""
    parts = [trace.engine or "no engine", "spoken" if trace.spoken else "written", trace.outcome]
    if trace.tokens:
        parts.append(f"{trace.tokens} tokens")
    if trace.revisions:
        parts.append(f"revised {trace.revisions} times" if trace.revisions > 1 else "revised once")
    return ", ".join(parts)


def record(trace: TurnTrace) -> dict[str, object]:
    """What `--json` prints of a turn: its fields, figures made of them, and its stages from the end of the question."""
    stages = [
        {
            "name": stage.name,
            "at_ms": round((stage.start_ns - trace.asked_at_ns) / 1e6, 3),
            "took_ms": round(stage.duration_ms, 3),
        }
        for stage in trace.stages()
    ]
    figures = {
        "first_audio_s": trace.first_audio_s,
        "frame_age_s": trace.frame_age_s,
        "tokens_per_s": trace.tokens_per_s,
    }
    return dataclasses.asdict(trace) | figures | {"stages": stages}
