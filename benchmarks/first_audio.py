"""How long a person waits: end of a spoken question to the first sample of the answer, warm, and the memory it takes.

    python benchmarks/first_audio.py [--rounds 5] [--examples 6] [--json]

Each round asks every shipped example with its spoken question. As in life, the picture is looked at while the question
is being spoken, so a turn's clock starts when the question has ended. For every picture a second and third question in
writing show what the kept key-value prefix saves: time to first token of a new picture against a known one.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time

from machine import describe_machine

from lorgnette.assistant.config import load_config
from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.turn import Answered, Question
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.frame import Frame
from lorgnette.device.picture import load_picture
from lorgnette.device.sound_file import load_sound
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Engine, Prompt

QUESTION = "What is in the picture?"


def first_token_ms(engine: Engine, picture: Frame) -> float:
    started_ns = time.monotonic_ns()
    next(iter(engine.stream(Prompt(QUESTION, picture), CancelScope())))
    return (time.monotonic_ns() - started_ns) / 1e6


def measure(rounds: int, count: int, settings: list[str]) -> dict[str, object]:
    wiring = Wiring(load_config(None, settings))
    turns = wiring.turns(hear=True, speak=True)
    turns.ready()
    engine = wiring.engine()  # of its own, so that its pictures are new
    shipped = list(shipped_examples().values())[:count]
    examples = [(load_picture(example.photo), load_sound(example.audio, 60.0)) for example in shipped]
    first_audio_s, tokens_per_s, transcribe_ms, new_ms, known_ms = [], [], [], [], []
    for number in range(rounds + 1):  # the first round warms up and does not count
        for picture, sound in examples:
            turns.look(picture)
            *_, last = turns.take(Question(sound, picture), CancelScope())
            assert isinstance(last, Answered)
            shifted = Frame(picture.pixels[number + 1 :])  # a picture that was not seen in an earlier round
            new, known = first_token_ms(engine, shifted), first_token_ms(engine, shifted)
            trace = last.trace
            if number == 0 or trace.first_audio_s is None or trace.transcript_at_ns is None:
                continue
            first_audio_s.append(trace.first_audio_s)
            transcribe_ms.append((trace.transcript_at_ns - trace.asked_at_ns) / 1e6)
            if trace.tokens_per_s is not None:
                tokens_per_s.append(trace.tokens_per_s)
            new_ms.append(new)
            known_ms.append(known)
    return {
        "machine": f"{describe_machine()}, {wiring.config.thread_count} threads",
        "turns": len(first_audio_s),
        "question_s": round(statistics.median(sound.duration_s for _, sound in examples), 2),
        "first_audio_s": round(statistics.median(first_audio_s), 3),
        "first_audio_s_worst": round(max(first_audio_s), 3),
        "transcribe_ms": round(statistics.median(transcribe_ms), 1),
        "decode_tokens_per_s": round(statistics.median(tokens_per_s), 1),
        "first_token_new_picture_ms": round(statistics.median(new_ms), 1),
        "first_token_known_picture_ms": round(statistics.median(known_ms), 1),
        "known_to_new": round(statistics.median(known_ms) / statistics.median(new_ms), 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=6, help="how many of the shipped examples")
    parser.add_argument("--set", metavar="A.B=C", action="append", default=[], help="a setting, as of lorgnette")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = measure(args.rounds, args.examples, args.set)
    if args.json:
        print(json.dumps(figures))
        return 0
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):<32} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
