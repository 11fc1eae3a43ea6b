"""Ours and Pipecat in the same conversation: end of the wearer's speech to first sound, taking turns in one run.

    python benchmarks/live_pipecat.py --peer-venv FOLDER [--turns 30] [--json]

Pipecat (1.14.0) is installed into an environment of its own in FOLDER (1.1 GB; with the versions of shared libraries
that we run on) and runs in a process of its own with the same models: Silero, Smart Turn v3, the same Whisper folder in
8-bit integers, the same engine, the same Piper voice (`pipecat_peer.py`). Both have the same number of threads, hear
the same recordings at the pace of life, and see the same new pictures. They take blocks of five turns, and while one
converses the other has nothing to do.

Ours counts as heard a sound card's block later than Pipecat's sound (`live_room.py`, `pipecat_peer.py`). Ratios are
medians of the turns' own ratios.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from live import BLOCK, figures
from live_room import Asked, Conversation, NoLamp, Turn, questions, spread
from machine import describe_machine

from lorgnette.assistant.config import load_config
from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import LorgnetteError

_VERSION = "1.14.0"
_SHARED = ("ctranslate2", "faster-whisper", "numpy", "onnxruntime", "piper-tts")
_REPOSITORY = Path(__file__).resolve().parents[1]
_WARM_UP = 2


def make_environment(folder: Path) -> Path:
    """The Python of an environment in `folder` that has Pipecat and, from this checkout, us."""
    python = folder / "bin" / "python"
    pins = "".join(f"{name}=={importlib.metadata.version(name)}\n" for name in _SHARED)
    note, wanted = folder / "constraints.txt", f"# pipecat-ai {_VERSION}\n{pins}"
    if note.is_file() and note.read_text("utf-8") == wanted:
        return python
    print(f"installing pipecat-ai {_VERSION} into {folder} ...", file=sys.stderr)
    venv.create(folder, symlinks=True, with_pip=True)
    unfinished = note.with_suffix(".part")
    unfinished.write_text(wanted, "utf-8")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"-c{unfinished}"]
    done = subprocess.run(
        [*command, f"pipecat-ai[piper,silero,whisper]=={_VERSION}", "--editable", str(_REPOSITORY)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LorgnetteError(f"pip could not install pipecat-ai {_VERSION}: {last}", "is a package index reachable?")
    unfinished.rename(note)
    return python


class PipecatProcess(AbstractContextManager["PipecatProcess"]):
    """`pipecat_peer.py`, warm once the context is entered."""

    def __init__(self, python: Path, settings: list[str], threads: int, log: Path) -> None:
        program = str(Path(__file__).with_name("pipecat_peer.py"))
        options = [option for setting in settings for option in ("--set", setting)]
        self._command = [str(python), program, f"--log={log}", *options]
        self._environment = os.environ | {"OMP_NUM_THREADS": str(threads)}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environment
        )
        self.configuration = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def ask(self, asked: Asked) -> dict[str, Any]:
        """`heard_s` (None: no answer) and `stages_ms`, both from the end of the wearer's speech on."""
        example = list(shipped_examples()).index(asked.example.name)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"example": example, "number": asked.number}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LorgnetteError(f"Pipecat's process ended with {self._process.wait()}", "read what it said above")
        found: dict[str, Any] = json.loads(line)
        return found


def converse(
    count: int, ours: Callable[[list[Asked]], list[Turn | None]], peer: PipecatProcess
) -> tuple[list[Turn | None], list[dict[str, Any]]]:
    """`count` turns of either, in alternating blocks, the same questions and pictures for both."""
    our_turns: list[Turn | None] = []
    peer_turns: list[dict[str, Any]] = []
    asked = questions(count)
    for start in range(0, count, BLOCK):
        block = asked[start : start + BLOCK]
        if start // BLOCK % 2 == 0:
            our_turns += ours(block)
        peer_turns += [peer.ask(one) for one in block]
        if start // BLOCK % 2:
            our_turns += ours(block)
        print(f"{len(our_turns)}/{count} turns", file=sys.stderr, flush=True)
    return our_turns, peer_turns


def compare(ours: list[Turn | None], peers: list[dict[str, Any]]) -> dict[str, Any]:
    heard = [one["heard_s"] for one in peers if one["heard_s"] is not None]
    stages: dict[str, list[float]] = {}
    for one in peers:
        for name, at_ms in one.get("stages_ms", {}).items():
            stages.setdefault(name, []).append(at_ms)
    pairs = [
        (one.heard_s, other["heard_s"])
        for one, other in zip(ours, peers, strict=True)
        if one is not None and other["heard_s"] is not None
    ]
    return {
        "ours": figures(ours),
        "pipecat": {
            "turns": len(peers),
            "unanswered": len(peers) - len(heard),
            "heard_s": spread(heard),
            "stages_at_ms": {name: round(statistics.median(values), 1) for name, values in stages.items()},
        },
        "pipecat_to_ours": {
            "median_ratio": round(statistics.median(theirs / mine for mine, theirs in pairs), 2),
            "ours_first": sum(mine < theirs for mine, theirs in pairs),
            "pairs": len(pairs),
        },
    }


def measure(args: argparse.Namespace) -> dict[str, Any]:
    python = make_environment(args.peer_venv.resolve())
    settings = [f"threads={args.threads}", "speech.language=en", "live.start=open", *args.set]
    wiring = Wiring(load_config(None, settings), indicator=NoLamp())
    parts = wiring.live_parts()

    def ask_ours(block: list[Asked]) -> list[Turn | None]:
        with Conversation(parts, wiring.config.live, wiring.gate) as conversation:
            return [conversation.ask(one) for one in block]

    machine = describe_machine()
    log = args.peer_venv.resolve() / "pipecat.log"
    with PipecatProcess(python, settings, args.threads, log) as peer:
        warm = questions(_WARM_UP, first_number=10**6)
        ask_ours(warm)
        for one in warm:
            peer.ask(one)
        ours, peers = converse(args.turns, ask_ours, peer)
        configurations = {"ours": settings, "pipecat": peer.configuration}
    return {
        "machine": machine,
        "machine_afterwards": describe_machine(),
        "configurations": configurations,
        **compare(ours, peers),
    }


def show(report: dict[str, Any]) -> None:
    print(report["machine"], report["machine_afterwards"], sep="\n")
    print("ours:", *report["configurations"]["ours"])
    for name, value in report["configurations"]["pipecat"].items():
        print(f"pipecat, {name}: {value}")
    for name in ("ours", "pipecat"):
        found = report[name]
        heard = ", ".join(f"{key} {value:.3f}" for key, value in found["heard_s"].items())
        print(f"{name:8} {found['turns']} turns, {found['unanswered']} unanswered; heard after (s): {heard}")
    for name, span in report["ours"]["stages_ms"].items():
        print(f"  ours     {name:30} at {span['at']:7.1f} ms, took {span['took']:7.1f} ms")
    for name, at_ms in report["pipecat"]["stages_at_ms"].items():
        print(f"  pipecat  {name:30} at {at_ms:7.1f} ms")
    print(
        "Pipecat takes {median_ratio:.2f} times as long (median of the turns' ratios); ours was first in {ours_first} "
        "of {pairs} turns".format(**report["pipecat_to_ours"])
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer-venv", type=Path, required=True, help="a folder for Pipecat's environment")
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", metavar="A.B=C", action="append", default=[], help="a setting, as of lorgnette")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        report = measure(args)
    except LorgnetteError as error:
        parser.exit(2, f"{error}\n")
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
