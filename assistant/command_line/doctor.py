"""Say what is installed, which devices are found, and whether everything works.

examples:
  lorgnette doctor
  lorgnette doctor --json
  lorgnette doctor --no-self-test

The self-test says a question, hears it and answers it; it runs when all weights are on this machine. The exit code is 1
when something that ought to work does not; what is merely missing (a camera, weights not fetched yet) is no failure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator

from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.assistant.health import Finding, check_machine, self_test
from lorgnette.assistant.wiring import Wiring

_MARKS = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--no-self-test", action="store_true", help="do not run the models")


def run(args: argparse.Namespace) -> int:
    findings = []
    for finding in _examine(Wiring(args.config, BuildProgress()), not args.no_self_test):
        findings.append(finding)
        if not args.json:
            hint = f" ({finding.hint})" if finding.hint else ""
            print(f"{_MARKS[finding.state]} {finding.name}: {finding.detail}{hint}", flush=True)
    if args.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], ensure_ascii=False, indent=1))
    return int(any(finding.state == "broken" for finding in findings))


def _examine(wiring: Wiring, with_self_test: bool) -> Iterator[Finding]:
    weights = set(wiring.weights())
    missing = False
    for finding in check_machine(wiring):
        missing = missing or (finding.name in weights and finding.state != "ok")
        yield finding
    if with_self_test and missing:
        yield Finding("self-test", "missing", "not run: it needs all weights", "lorgnette models pull")
    elif with_self_test:
        yield from self_test(wiring)
