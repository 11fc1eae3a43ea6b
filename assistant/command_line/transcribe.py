"""Print the words of a recording.

examples:
  lorgnette transcribe question.wav
  lorgnette transcribe pergunta.ogg --language pt
  arecord -f S16_LE -r 16000 -d 5 | lorgnette transcribe - --json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time

from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import InputError
from lorgnette.device.sound_file import load_sound
from lorgnette.device.sound_level import measure_level
from lorgnette.device.source import source_name

_LIMIT_S = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a recording (WAV, FLAC, OGG, MP3, M4A, WebM), or - for stdin")
    parser.add_argument("--language", metavar="XX", help="the language spoken, such as en (default: detect it)")
    parser.add_argument("--json", action="store_true", help="print a record for a program")


def run(args: argparse.Namespace) -> int:
    name = source_name(args.file)
    sound = load_sound(args.file, _LIMIT_S)
    level = measure_level(sound)
    if level.is_silent:
        raise InputError(f"{name} is silent", "check the microphone that recorded it")
    if level.is_clipped:
        print(f"lorgnette: {name} is overloaded, some words may be wrong (record it more quietly)", file=sys.stderr)
    transcriber = Wiring(args.config).transcriber()
    started_s = time.monotonic()
    transcript = transcriber.transcribe(sound, args.language or args.config.speech.language or None)
    took_s = time.monotonic() - started_s
    if transcript.heard_nothing:
        raise InputError(f"nobody speaks in {name}", "speak closer to the microphone")
    if args.json:
        print(json.dumps(dataclasses.asdict(transcript) | {"took_s": round(took_s, 3)}, ensure_ascii=False))
    else:
        print(transcript.text)
        print(
            f"{sound.duration_s:.1f} s of sound in {took_s:.1f} s, "
            f"language {transcript.language} ({transcript.language_probability:.0%})",
            file=sys.stderr,
        )
    return 0
