"""What waiting for the wake word costs: processor time of the whole program while nobody speaks to it.

    python benchmarks/idle.py [--seconds 60] [--json]

The live assistant with everything loaded, in a room of files at the pace of life, once with nothing but a room's noise
in it and once with somebody who talks all the time, to others. The room's own arithmetic counts, too; 100 % are one
core.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import cycle

from live_room import NoLamp
from machine import describe_machine
from soak_wearer import SIGN

from lorgnette.assistant.config import load_config
from lorgnette.assistant.live.assistant import LiveAssistant, LiveDevices, LiveParts
from lorgnette.assistant.live.events import LiveEvent
from lorgnette.assistant.scenario.scene import SceneCamera
from lorgnette.assistant.scenario.sounds import noise
from lorgnette.assistant.scenario.wearer import speak
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.capture import CaptureGate
from lorgnette.device.room import Room

SAID = (
    "We could take the train at nine and be there before noon.",
    "I told her about it, but she had already heard.",
    "Put the rest into the oven, and let me know when it is done.",
)
_SETTLE_S = 3.0


def cpu_share(wiring: Wiring, parts: LiveParts, seconds: float, talks: bool) -> dict[str, float]:
    """Of one core, over `seconds`; and what happened meanwhile that should not have."""
    gate, seen = CaptureGate(NoLamp()), Counter[str]()

    def watch(event: LiveEvent) -> None:
        seen[type(event).__name__] += 1

    room = Room(gate, noise=noise("pink", 30))
    devices = LiveDevices(SceneCamera(SIGN, gate), room.microphone, room.speaker)
    with LiveAssistant(parts, devices, wiring.config.live, watch):
        sounds = cycle([speak([text], "flite/rms") for text in SAID] if talks else [])
        time.sleep(_SETTLE_S)
        seen.clear()
        began_s, began_cpu_s, said_until_s = time.monotonic(), time.process_time(), 0.0
        while time.monotonic() < began_s + seconds:
            if talks and room.now_s >= said_until_s:
                said_until_s = room.say(next(sounds))[1] + 0.3
            time.sleep(0.1)
        share = (time.process_time() - began_cpu_s) / (time.monotonic() - began_s)
    return {"cpu_percent": round(100 * share, 1), "turns_begun": seen["SpeechBegan"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each of the two (default: 60)")
    parser.add_argument("--json", action="store_true", help="print a record for a program")
    args = parser.parse_args()
    wiring = Wiring(load_config(None, ["live.start=wake"]), indicator=NoLamp())
    parts, found = wiring.live_parts(), {}
    for name, talks in (("quiet", False), ("somebody talks", True)):
        fresh = replace(parts, echo=wiring.echo_canceller())  # it learns a room
        found[name] = cpu_share(wiring, fresh, args.seconds, talks)
        print(f"{name}: done", file=sys.stderr)
    memory_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if args.json:
        print(json.dumps({"machine": describe_machine(), **found, "memory_mb": memory_mb}, indent=1))
        return
    print(describe_machine())
    for name, row in found.items():
        print(f"{name:16} {row['cpu_percent']:5.1f} % of one core, {row['turns_begun']} turns begun")
    print(f"{'memory at most':16} {memory_mb} MB")


if __name__ == "__main__":
    main()
