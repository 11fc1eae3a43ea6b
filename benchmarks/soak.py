"""Hours of conversation, at random but from a seed: questions, interruptions, silence, and devices that fail.

    python benchmarks/soak.py
    python benchmarks/soak.py --hours 0.2 --pace 4 --seed 3 --json soak.json

Whatever is asked must get an answer or a spoken reason, unless what happened meanwhile accounts for it: interrupted on
purpose, asleep, microphone gone. Memory must stay where it was in the second half of the time. Ctrl-C ends it early
and still reports. The exit code is 1 where a question was lost, a part failed on its own, or the lamp was wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from machine import describe_machine
from soak_wearer import SIGN, Lamp, Soak, Tally

from lorgnette.assistant.config import load_config
from lorgnette.assistant.live.assistant import LiveAssistant, LiveDevices
from lorgnette.assistant.scenario.scene import SceneCamera
from lorgnette.assistant.scenario.sounds import noise
from lorgnette.assistant.simulator.faults import FaultSwitches, FaultyCamera, FaultyMicrophone, FaultySpeaker
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.capture import CaptureGate
from lorgnette.device.room import Room

_KEPT_S = 60.0


def memory_mb() -> float:
    """The resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096 / 2**20


def slope_mb_an_hour(samples: list[tuple[float, float]]) -> float | None:
    """Of memory over wall time, by least squares, in the second half: by then everything has happened once, and the
    allocator has what it needs. None where there is too little of it."""
    late = [(at_s, size_mb) for at_s, size_mb in samples if at_s >= samples[-1][0] / 2] if samples else []
    if len(late) < 10:
        return None
    at_s, size_mb = np.array(late).T
    return round(float(np.polyfit(at_s / 3600, size_mb, 1)[0]), 2)


def main() -> int:
    arguments = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wiring = Wiring(load_config(None, ["live.start=open", "live.echo=headset", *arguments.set]))
    parts = wiring.live_parts()
    lamp, tally, switches = Lamp(), Tally(), FaultSwitches()
    gate = CaptureGate(lamp)
    room = Room(gate, arguments.pace, noise=noise("pink", 30), kept_s=_KEPT_S)
    camera = SceneCamera(SIGN, gate)
    devices = LiveDevices(
        FaultyCamera(camera, switches),
        FaultyMicrophone(room.microphone, switches, arguments.seed),
        FaultySpeaker(room.speaker, switches),
    )
    samples: list[tuple[float, float]] = []
    began_s, turns, interrupted = time.monotonic(), 0, False
    with LiveAssistant(parts, devices, wiring.config.live, tally.watch) as assistant:
        soak = Soak(assistant, room, camera, switches, lamp, tally, random.Random(arguments.seed))
        try:
            while room.now_s < 3600 * arguments.hours:
                soak.turn()
                turns += 1
                samples.append((time.monotonic() - began_s, memory_mb()))
                if turns % 20 == 0:
                    print(
                        f"{room.now_s:.0f} s, {turns} turns, {samples[-1][1]:.0f} MB, {len(soak.lost)} lost",
                        file=sys.stderr,
                    )
        except KeyboardInterrupt:
            interrupted = True
        room_s = room.now_s
    report = {
        "machine": describe_machine(),
        "seed": arguments.seed,
        "pace": arguments.pace,
        "room_hours": round(room_s / 3600, 3),
        "wall_hours": round((time.monotonic() - began_s) / 3600, 3),
        "ended_early": interrupted,
        "turns": turns,
        "answers": tally.began,
        "outcomes": dict(sorted(soak.outcomes.items())),
        "lost": soak.lost,
        "troubles": dict(tally.troubles),
        "unexpected_troubles": tally.unexpected,
        "lamp_faults": soak.lamp_faults,
        "memory_mb": [round(size_mb, 1) for _, size_mb in (*samples[:1], *samples[-1:])],
        "memory_slope_mb_an_hour": slope_mb_an_hour(samples),
    }
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report | {"memory": samples}) + "\n", "utf-8")
    return int(bool(soak.lost or tally.unexpected or soak.lamp_faults))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0, help="of room time (default: 2)")
    parser.add_argument("--pace", type=float, default=4.0, help="of the room's clock (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of what happens (default: 0)")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="one setting (may be repeated)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too, with all of the memory")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
