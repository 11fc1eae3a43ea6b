"""Speak a text: through the speaker, or into a WAV file.

examples:
  lorgnette say "There is a cat on the table."
  lorgnette say "Good morning." --out morning.wav
  cat letter.txt | lorgnette say - --out letter.wav --json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.errors import InputError
from lorgnette.device.portaudio_speaker import PortAudioSpeaker
from lorgnette.device.source import STDIN, read_source
from lorgnette.device.speaker import Speaker, WavSpeaker
from lorgnette.speech.piper import PiperSynthesizer

_LIMIT_CHARACTERS = 20_000
"""About 20 minutes of speech."""

_LIMIT_BYTES = 16 * 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", help="what to say, or - for stdin")
    parser.add_argument("--out", metavar="A.wav", type=Path, help="write a WAV file and play nothing")
    parser.add_argument("--json", action="store_true", help="print a record for a program")


def run(args: argparse.Namespace) -> int:
    text = _read_text(args.text)
    config = args.config
    # The speaker before the voice: whether there is one is known at once, and loading a voice takes a second.
    speaker: Speaker = WavSpeaker(args.out) if args.out else PortAudioSpeaker(config.audio.output_device)
    with speaker:
        voice = PiperSynthesizer(
            WeightStore.from_config(config).path(config.speech.voice), config.thread_count, config.speech.speed
        )
        started_s = time.monotonic()
        first_s = spoken_s = 0.0
        for chunk in voice.synthesize(text):
            first_s = first_s or time.monotonic() - started_s
            spoken_s += chunk.duration_s
            speaker.play(chunk)
        if not spoken_s:
            raise InputError("there is nothing in the text that can be pronounced", "give it some words")
    out = str(args.out) if args.out else None
    if args.json:
        print(json.dumps({"out": out, "duration_s": round(spoken_s, 3), "first_sound_s": round(first_s, 3)}))
    elif out:
        print(out)
        print(f"{spoken_s:.1f} s of speech, the first after {first_s:.2f} s", file=sys.stderr)
    return 0


def _read_text(argument: str) -> str:
    if argument == STDIN:
        try:
            argument = read_source(STDIN, "text", _LIMIT_BYTES).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError("standard input is not text", "give it as UTF-8") from error
    if not argument.strip():
        raise InputError("there is nothing to say", "give some text")
    if len(argument) > _LIMIT_CHARACTERS:
        raise InputError(f"the text has more than {_LIMIT_CHARACTERS:,} characters", "say it in parts")
    return argument
