"""Ask several questions about one picture, or about what the camera sees.

examples:
  lorgnette chat photo.jpg
  lorgnette chat camera --listen --speak
  printf 'Is there a dog?\\nWhat is it doing?\\n' | lorgnette chat photo.jpg

Each line of standard input is a question; with --listen the microphone is used instead. An empty line or the end of
the input ends the talk. With the camera every question gets a new picture.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lorgnette.assistant.background import Pending
from lorgnette.assistant.command_line.answering import add_voice_arguments, outlets, take_turn
from lorgnette.assistant.command_line.ask import CAMERA, listen, read_picture
from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.assistant.turn import Question
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.llm.engine import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorgnette.assistant.turn import Turns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a picture file, or camera")
    parser.add_argument("--listen", action="store_true", help="ask with the microphone")
    parser.add_argument(
        "--remember",
        type=int,
        default=0,
        metavar="N",
        help="show the model the last N questions and answers too (default: 0, as the embedded model was trained)",
    )
    add_voice_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if args.image == "-" and not args.listen:
        raise InputError("the questions come from standard input, so the picture cannot", "give a picture file")
    if args.remember < 0:
        raise InputError("--remember takes 0 or more", "leave it out to ask each question afresh")
    wiring = Wiring(args.config, BuildProgress())
    with ExitStack() as stack:
        look = _looker(args.image, wiring, stack)
        plays = stack.enter_context(outlets(wiring, args.speak, args.out))
        turns = wiring.turns(hear=args.listen, speak=args.speak or args.out is not None)
        if args.image != CAMERA:
            Pending(lambda: turns.look(look()), "look")  # while the first question is being asked
        history: list[Exchange] = []
        for question in _spoken(wiring, turns, look) if args.listen else _typed(look):
            remembered = tuple(history[-args.remember :]) if args.remember else ()
            asked = Question(question.asked, question.picture, remembered, question.ended_at_ns)
            history.append(take_turn(turns, asked, plays, wiring.traces(), live=True).exchange)
    return 0


def _looker(image: str, wiring: Wiring, stack: ExitStack) -> Callable[[], Frame]:
    """What gives the picture for the next question."""
    if image == CAMERA:
        camera = stack.enter_context(wiring.camera())
        return lambda: camera.latest(wiring.config.camera.max_age_s)
    picture = read_picture(image)
    return lambda: picture


def _typed(look: Callable[[], Frame]) -> Iterator[Question]:
    """A question for each line."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            return
        yield Question(line.strip(), look(), ended_at_ns=time.monotonic_ns())


def _spoken(wiring: Wiring, turns: Turns, look: Callable[[], Frame]) -> Iterator[Question]:
    """Questions from the microphone until nobody speaks any more."""
    while True:
        print("listening", file=sys.stderr, flush=True)
        try:
            yield listen(wiring, turns, look())
        except InputError as error:
            print(error.message, file=sys.stderr)
            return
