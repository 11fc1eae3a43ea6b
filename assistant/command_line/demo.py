"""Answer a spoken question about a photograph aloud, both of which come with the program.

examples:
  lorgnette demo
  lorgnette demo coffee --out coffee.wav
  lorgnette demo --all --mute

Shows what was heard, what was seen and how long each part took. The first run fetches the weights and builds the model.
The answer is written to answer.wav and played when there is a speaker.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lorgnette.assistant.command_line.answering import outlets, take_turn
from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.assistant.command_line.waterfall import summary, waterfall
from lorgnette.assistant.examples import Example, shipped_examples
from lorgnette.assistant.turn import Question
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import DeviceError, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from lorgnette.assistant.turn import Turns

_FIRST = "photographer"
_DESCRIBE = "Describe the picture."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("example", metavar="NAME", nargs="?", help=f"which photograph (default: {_FIRST})")
    parser.add_argument("--all", action="store_true", help="all of them, each answer in a file of its own")
    parser.add_argument("--out", type=Path, default=Path("answer.wav"), metavar="A.wav", help="default: answer.wav")
    parser.add_argument("--mute", action="store_true", help="do not use the speaker")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    chosen = _choose(args.example, args.all)
    wiring = Wiring(args.config, BuildProgress())
    speak = not args.mute and _has_speaker()
    started_s = time.monotonic()
    turns = wiring.turns(hear=True, speak=True)
    turns.ready()
    print(f"ready after {time.monotonic() - started_s:.1f} s", file=sys.stderr, flush=True)
    for example in chosen:
        out = args.out.with_stem(f"{args.out.stem}-{example.name}") if args.all else args.out
        _show(example, turns, wiring, console, speak, out)
    return 0


def _choose(name: str | None, everything: bool) -> list[Example]:
    examples = shipped_examples()
    if everything:
        return list(examples.values())
    if name is not None and name not in examples:
        raise InputError(f"there is no example {name!r}", f"choose from {', '.join(examples)}")
    return [examples[name] if name else examples.get(_FIRST) or next(iter(examples.values()))]


def _show(example: Example, turns: Turns, wiring: Wiring, console: Console, speak: bool, out: Path) -> None:
    from lorgnette.device.picture import load_picture
    from lorgnette.device.sound_file import load_sound

    picture, sound = load_picture(example.photo), load_sound(example.audio, limit_s=60.0)
    console.print(f"[bold]{example.name}[/]: {example.photo}")
    with outlets(wiring, speak, out) as plays:
        spoken = take_turn(turns, Question(sound, picture), plays, wiring.traces())
        console.print(f"  heard     {spoken.exchange.question}", markup=False)
        console.print(f"  answered  {spoken.exchange.answer}", markup=False)
    # A second question about the same picture: what the model makes of it as a whole, from what it computed before.
    described = take_turn(turns.in_writing(), Question(_DESCRIBE, picture), [], None)
    console.print(f"  saw       {described.exchange.answer}", markup=False)
    console.print(f"  sound     {out} ({spoken.trace.audio_s:.1f} s)", markup=False)
    console.print(waterfall(spoken.trace))
    console.print(f"  {summary(spoken.trace)}\n", markup=False)


def _has_speaker() -> bool:
    from lorgnette.device.portaudio import find_sound_devices

    try:
        found = bool(find_sound_devices().speakers)
        reason = "no speaker was found"
    except DeviceError as error:
        found, reason = False, str(error)
    if not found:
        print(f"not played, only written: {reason}", file=sys.stderr)
    return found
