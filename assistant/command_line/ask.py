"""Ask one question about a picture.

examples:
  lorgnette ask photo.jpg --text "What is on the table?"
  lorgnette ask photo.jpg --audio question.wav --out answer.wav
  lorgnette ask camera --listen --speak
  cat photo.png | lorgnette ask - --text "Describe the picture." --json

IMAGE is a picture file, - for standard input, or the word camera. The answer goes to standard output.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import TYPE_CHECKING

from lorgnette.assistant.background import Pending
from lorgnette.assistant.command_line.answering import Outcome, add_voice_arguments, outlets, take_turn, timings
from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.assistant.turn import Question
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import InputError

if TYPE_CHECKING:
    from lorgnette.assistant.turn import Turns
    from lorgnette.device.frame import Frame
    from lorgnette.device.sound import AudioChunk

CAMERA = "camera"
LONGEST_QUESTION_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a picture file, - for standard input, or camera")
    question = parser.add_mutually_exclusive_group(required=True)
    question.add_argument("--text", metavar="QUESTION", help="the question in writing")
    question.add_argument("--audio", metavar="Q.wav", help="a recording of the question (- for standard input)")
    question.add_argument("--listen", action="store_true", help="record the question with the microphone")
    add_voice_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print question, answer and timings as JSON")


def run(args: argparse.Namespace) -> int:
    # A written question is there when the picture is: there is nothing to read ahead of.
    reading = dataclasses.replace(args.config.reading, ahead=args.config.reading.ahead and args.text is None)
    wiring = Wiring(dataclasses.replace(args.config, reading=reading), BuildProgress())
    speak = args.speak or args.out is not None
    if args.image == "-" and args.audio == "-":
        raise InputError("picture and question cannot both come from standard input", "give one of them as a file")
    if args.text is not None and not args.text.strip():
        raise InputError("the question is empty", "say or write what you want to know")
    # Bad input is found before anything is fetched or loaded.
    asked: AudioChunk | str | None = read_question(args.audio) if args.audio is not None else args.text
    picture = None if args.image == CAMERA else read_picture(args.image)
    with outlets(wiring, args.speak, args.out) as plays:
        turns = wiring.turns(hear=args.text is None, speak=speak)
        if picture is None:
            picture = take_picture(wiring)
        question = Question(asked, picture) if asked is not None else listen(wiring, turns, picture)
        outcome = take_turn(turns, question, plays, wiring.traces(), live=not args.json)
    if args.json:
        print(json.dumps(report(args.image, outcome), ensure_ascii=False))
    return 0


def report(image: str, outcome: Outcome) -> dict[str, object]:
    """What `--json` prints."""
    heard, confidence = outcome.transcript, outcome.confidence
    return {
        "image": image,
        "question": outcome.exchange.question,
        "language": heard.language if heard else None,
        "answer": outcome.exchange.answer,
        "confidence": dataclasses.asdict(confidence) if confidence else None,
        "engine": outcome.trace.engine,
        "timings": timings(outcome.trace),
    }


def read_picture(source: str) -> Frame:
    from lorgnette.device.picture import load_picture

    return load_picture(source)


def read_question(source: str) -> AudioChunk:
    from lorgnette.device.sound_file import load_sound

    return load_sound(source, LONGEST_QUESTION_S)


def take_picture(wiring: Wiring) -> Frame:
    """One picture from the camera."""
    with wiring.camera() as camera:
        return camera.latest(wiring.config.camera.max_age_s)


def listen(wiring: Wiring, turns: Turns, picture: Frame) -> Question:
    """Record a question about `picture`, which is looked at meanwhile."""
    Pending(lambda: turns.look(picture), "look")
    sound = wiring.recorder().record()
    return Question(sound, picture, ended_at_ns=time.monotonic_ns())
