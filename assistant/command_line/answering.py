"""What `ask`, `chat` and `demo` share: where the answer goes, and taking one turn with everything shown on the way."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lorgnette.assistant.background import Playback
from lorgnette.assistant.trace import TraceLog, TurnTrace
from lorgnette.assistant.turn import Answered, Heard, Question, Spoken, Turns, Written
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.confidence import Confidence
from lorgnette.llm.engine import Exchange
from lorgnette.speech.transcriber import Transcript

Play = Callable[[AudioChunk], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn came to; `transcript` is None for a question in writing, `confidence` where there is no answer."""

    transcript: Transcript | None
    exchange: Exchange
    trace: TurnTrace
    confidence: Confidence | None


def add_voice_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--speak", action="store_true", help="speak the answer through the speaker")
    parser.add_argument("--out", type=Path, metavar="A.wav", help="write the spoken answer to this WAV file")


@contextmanager
def outlets(wiring: Wiring, speak: bool, out: Path | None) -> Iterator[list[Play]]:
    """Where sound goes, opened at once, so that a missing speaker or a folder that cannot be written is known before
    any work. Leaving waits until all was heard and the file is whole. Raises DeviceError or InputError."""
    from lorgnette.device.speaker import WavSpeaker

    with ExitStack() as stack:
        plays: list[Play] = []
        if out is not None:
            plays.append(stack.enter_context(WavSpeaker(out)).play)
        if speak:
            plays.append(stack.enter_context(Playback(wiring.speaker())).play)
        yield plays


def take_turn(
    turns: Turns, question: Question, plays: list[Play], traces: TraceLog | None, *, live: bool = False
) -> Outcome:
    """Take one turn. With `live` the question as it was heard goes to stderr, and the answer to stdout as it comes."""
    transcript: Transcript | None = None
    for event in turns.take(question, CancelScope()):
        match event:
            case Heard(transcript):
                if live:
                    print(f"heard: {transcript.text}", file=sys.stderr, flush=True)
            case Written(token) if live:
                print(token.text, end="", flush=True)
            case Spoken(_, sound):
                for play in plays:
                    play(sound)
            case Answered(exchange, trace, confidence):
                if live:
                    print(flush=True)
                if traces is not None:
                    traces.append(trace)
                return Outcome(transcript, exchange, trace, confidence)
    raise AssertionError("a turn ends with Answered")


def timings(trace: TurnTrace) -> dict[str, float | int | bool | None]:
    """The figures of a turn for `--json`: milliseconds for each stage, and what is made of them."""
    figures: dict[str, float | int | bool | None] = {
        f"{stage.name.replace(' ', '_')}_ms": round(stage.duration_ms, 1) for stage in trace.stages()
    }
    first, rate = trace.first_audio_s, trace.tokens_per_s
    figures["first_audio_s"] = None if first is None else round(first, 3)
    figures["tokens"] = trace.tokens
    figures["tokens_per_s"] = None if rate is None else round(rate, 1)
    figures["picture_cached"] = trace.picture_cached
    return figures
