"""Does the assistant answer itself? It speaks for minutes while its microphone hears the loudspeaker, and nobody else
says a word: every turn that comes of that is one too many.

    python benchmarks/self_echo.py
    python benchmarks/self_echo.py --minutes 1 --paths 0.3:0.06,0.6:0.15:0.4 --json

Each echo path is GAIN:DELAY_S:TAIL_S, where TAIL_S is how long the room reverberates (0 where it is left out). Every
path is taken with the canceller on, and the first one without it ("headset"), to show that the echo would be heard. The
answers are Piper's, to long questions in writing that an engine without weights
repeats; so only the ears are measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass

from machine import describe_machine
from rich.console import Console
from rich.table import Table

from lorgnette.assistant.config import load_config
from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.live.assistant import LiveAssistant, LiveDevices, LiveParts
from lorgnette.assistant.live.events import LiveEvent, QuestionHeard, SpeakingEnded, SpeechBegan, TurnDone
from lorgnette.assistant.scenario.event_log import RecordingLamp
from lorgnette.assistant.scenario.scenario import View
from lorgnette.assistant.scenario.scene import SceneCamera
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.capture import CaptureGate
from lorgnette.device.room import Room

TEXTS = (
    "how long the walk from the old harbour to the lighthouse takes when the tide is low, whether there are benches "
    "on the way, and which of the two paths is the better one for somebody who does not like stairs",
    "which of the three boxes on the upper shelf has the blue label on it, what is written under the label in small "
    "letters, and whether the box beside it has been opened already or is still closed with tape",
    "whether the train on platform four is the one that goes to the airport, at what time it leaves, how many minutes "
    "that is from now, and on which side of the platform the carriages with the low doors will stop",
    "what the weather is like outside, if people carry umbrellas, if the street is wet, and whether the shop on the "
    "corner with the green sign still has its lights on and its door open at this late hour of the day",
)
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class EchoPath:
    """The microphone hears the loudspeaker at `gain` after `delay_s`, in a room that is 60 dB quieter after `tail_s`;
    `echo` is the setting live.echo."""

    gain: float
    delay_s: float
    tail_s: float = 0.0
    echo: str = "cancel"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts over `spoken_s` of answers in room time: `noticed` is how often speech seemed to begin, `questions` how
    often it was taken for one, `self_answers` the turns that nobody asked for, `interrupted` the answers cut short."""

    path: EchoPath
    spoken_s: float
    answers: int
    noticed: int
    questions: int
    self_answers: int
    interrupted: int


def measure(parts: LiveParts, wiring: Wiring, path: EchoPath, minutes: float, pace: float) -> Outcome:
    """Ask one long question after the other in writing until `minutes` of room time are over."""
    counts: Counter[str] = Counter()

    def watch(event: LiveEvent) -> None:
        match event:
            case SpeechBegan():
                counts["noticed"] += 1
            case QuestionHeard(kind="question", text=text):
                counts["questions"] += text not in TEXTS
            case SpeakingEnded(interrupted=interrupted):
                counts["interrupted"] += interrupted
            case TurnDone(trace=trace):
                counts["self_answers" if trace.spoken else "answers"] += 1

    gate = CaptureGate(RecordingLamp(lambda event: None))
    room = Room(gate, pace, path.gain, path.delay_s, path.tail_s)
    devices = LiveDevices(SceneCamera(View(shipped_examples()["cat"].photo), gate), room.microphone, room.speaker)
    config = wiring.config
    parts = dataclasses.replace(parts, echo=wiring.echo_canceller())
    with LiveAssistant(parts, devices, config.live, watch) as assistant:
        for text in itertools.cycle(TEXTS):
            if room.now_s >= 60 * minutes:
                break
            done, deadline = counts["answers"], time.monotonic() + _PATIENCE_S
            assistant.ask(text)
            while counts["answers"] == done and time.monotonic() < deadline:
                time.sleep(0.02)
            room.sleep(1.0)
        spoken_s = room.now_s
    found = {name: counts[name] for name in ("answers", "noticed", "questions", "self_answers", "interrupted")}
    return Outcome(path, round(spoken_s, 1), **found)


def main() -> int:
    arguments = parse()
    chosen = [*arguments.paths, dataclasses.replace(arguments.paths[0], echo="headset")]
    outcomes = []
    parts = None
    for path in chosen:
        settings = ["engine.bundle=echo", "engine.max_new_tokens=96", "live.start=open", f"live.echo={path.echo}"]
        wiring = Wiring(load_config(None, [*settings, *arguments.set]))
        parts = parts or wiring.live_parts()
        outcomes.append(measure(parts, wiring, path, arguments.minutes, arguments.pace))
        print(f"{path}: {outcomes[-1].self_answers} answers to itself", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"machine": describe_machine(), "outcomes": [dataclasses.asdict(one) for one in outcomes]}))
    else:
        show(outcomes)
    return int(any(one.self_answers for one in outcomes if one.path.echo == "cancel"))


def show(outcomes: list[Outcome]) -> None:
    table = Table(
        "echo", "gain", "delay ms", "tail ms", "room s", "answers", "cut short", "noticed", "questions", "self-answers"
    )
    for one in outcomes:
        figures = (one.spoken_s, one.answers, one.interrupted, one.noticed, one.questions, one.self_answers)
        path = one.path
        times = (f"{1000 * seconds:.0f}" for seconds in (path.delay_s, path.tail_s))
        table.add_row(path.echo, f"{path.gain:g}", *times, *map(str, figures))
    Console().print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="room time for each path (default: 5)")
    parser.add_argument("--pace", type=float, default=1.0, help="of the room's clock (default: 1)")
    parser.add_argument("--paths", type=paths, default="0.1:0.03,0.3:0.06:0.3,0.6:0.12:0.5", metavar="PATH,...")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="one setting (may be repeated)")
    parser.add_argument("--json", action="store_true", help="print a record for a program")
    return parser.parse_args()


def paths(text: str) -> list[EchoPath]:
    return [EchoPath(*map(float, path.split(":"))) for path in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
