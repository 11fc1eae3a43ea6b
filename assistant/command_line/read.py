"""Read aloud what is written in a picture: a page, a sign, a label.

examples:
  lorgnette read letter.jpg --speak
  lorgnette read camera --out page.wav
  lorgnette read menu.png --json

IMAGE is a picture file, - for standard input, or the word camera. Columns are read one after the other, lines joined to
paragraphs, and words divided at a line's end made whole. No language model has a part in it. Where nothing is written,
it says so.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from lorgnette.assistant.background import Pending
from lorgnette.assistant.command_line.answering import add_voice_arguments, outlets
from lorgnette.assistant.command_line.ask import CAMERA, read_picture, take_picture
from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.assistant.wiring import Wiring

if TYPE_CHECKING:
    from lorgnette.device.frame import Frame
    from lorgnette.vision.text_line import TextLine

NOTHING = "I can't see any text."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a picture file, - for standard input, or camera")
    add_voice_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the lines, where they are and how sure, as JSON")


def run(args: argparse.Namespace) -> int:
    from lorgnette.speech.sentences import split_sentences
    from lorgnette.vision.reading_order import paragraphs

    wiring = Wiring(args.config, BuildProgress())
    picture = None if args.image == CAMERA else read_picture(args.image)
    with outlets(wiring, args.speak, args.out) as plays:
        wiring.fetch_for_reading(speak=bool(plays))
        reader = Pending(wiring.reader, "reader")
        voice = Pending(wiring.synthesizer, "voice") if plays else None
        if picture is None:
            picture = take_picture(wiring)
        lines = reader.get().read_page(picture)
        said = paragraphs(lines) or [excuse(picture)]
        if args.json:
            print(json.dumps(report(args.image, picture, lines, said), ensure_ascii=False))
        for number, paragraph in enumerate(said):
            if not args.json:
                print("\n" * (number > 0) + paragraph, flush=True)
            if voice is None:
                continue
            for sentence in split_sentences(paragraph):
                for sound in voice.get().synthesize(sentence):
                    for play in plays:
                        play(sound)
    return 0


def excuse(picture: Frame) -> str:
    """What to say where nothing was read: what is wrong with the frame, if anything is."""
    from lorgnette.vision.quality import assess

    return assess(picture).advice or NOTHING


def report(image: str, picture: Frame, lines: list[TextLine], said: list[str]) -> dict[str, object]:
    """What `--json` prints; corners are x and y in pixels, from where the line begins at its top, clockwise."""
    return {
        "image": image,
        "width": picture.width,
        "height": picture.height,
        "said": said,
        "lines": [
            {
                "text": line.text,
                "confidence": round(line.confidence, 3),
                "corners": [[round(float(x), 1), round(float(y), 1)] for x, y in line.corners],
            }
            for line in lines
        ],
    }
