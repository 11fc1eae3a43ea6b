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
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from live import BLOCK, figures
from live_room import Asked, Conversation, NoLamp, Turn, questions, spread
from machine import describe_machine
from peer_process import REPOSITORY, PeerProcess, make_environment

from lorgnette.assistant.config import load_config
from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import LorgnetteError

_VERSION = "1.14.0"
_SHARED = ("ctranslate2", "faster-whisper", "numpy", "onnxruntime", "piper-tts")
_WARM_UP = 2


def pipecats_python(folder: Path) -> Path:
    """The Python of an environment in `folder` that has Pipecat and, from this checkout, us."""
    pins = "".join(f"{name}=={importlib.metadata.version(name)}\n" for name in _SHARED)
    wanted = [f"pipecat-ai[piper,silero,whisper]=={_VERSION}", "--editable", str(REPOSITORY)]
    return make_environment(folder, f"pipecat-ai {_VERSION}", [wanted], pins)


def pipecat(python: Path, settings: list[str], threads: int, log: Path) -> PeerProcess:
    """`pipecat_peer.py`, warm once the context is entered."""
    program = str(Path(__file__).with_name("pipecat_peer.py"))
    options = [option for setting in settings for option in ("--set", setting)]
    return PeerProcess([str(python), program, f"--log={log}", *options], {"OMP_NUM_THREADS": str(threads)})


def ask_pipecat(peer: PeerProcess, asked: Asked) -> dict[str, Any]:
    """`heard_s` (None: no answer) and `stages_ms`, both from the end of the wearer's speech on."""
    return peer.ask({"example": list(shipped_examples()).index(asked.example.name), "number": asked.number})


def converse(
    count: int, ours: Callable[[list[Asked]], list[Turn | None]], peer: PeerProcess
) -> tuple[list[Turn | None], list[dict[str, Any]]]:
    """`count` turns of either, in alternating blocks, the same questions and pictures for both."""
    our_turns: list[Turn | None] = []
    peer_turns: list[dict[str, Any]] = []
    asked = questions(count)
    for start in range(0, count, BLOCK):
        block = asked[start : start + BLOCK]
        if start // BLOCK % 2 == 0:
            our_turns += ours(block)
        peer_turns += [ask_pipecat(peer, one) for one in block]
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
    python = pipecats_python(args.peer_venv.resolve())
    settings = [f"threads={args.threads}", "speech.language=en", "live.start=open", *args.set]
    wiring = Wiring(load_config(None, settings), indicator=NoLamp())
    parts = wiring.live_parts()

    def ask_ours(block: list[Asked]) -> list[Turn | None]:
        with Conversation(parts, wiring.config.live, wiring.gate) as conversation:
            return [conversation.ask(one) for one in block]

    machine = describe_machine()
    log = args.peer_venv.resolve() / "pipecat.log"
    with pipecat(python, settings, args.threads, log) as peer:
        warm = questions(_WARM_UP, first_number=10**6)
        ask_ours(warm)
        for one in warm:
            ask_pipecat(peer, one)
        ours, peers = converse(args.turns, ask_ours, peer)
        configurations = {"ours": settings, "pipecat": peer.greeting}
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
