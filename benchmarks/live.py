"""A conversation as the wearer has it: end of their speech to the first sound of the answer, and how fast it yields.

    python benchmarks/live.py [--turns 30] [--without look_ahead] [--interruptions 10] [--set live.ask_s=0.3]

The live assistant, warm, in a room of files at the pace of life: the shipped questions are asked aloud one after the
other, each about a picture that it has not seen before, in frames no two of which are the same. "Heard" is measured on
what the loudspeaker played (`live_room.py`); "handed over" is the trace's. With `--without` every second block of five
turns does without that part, with the same questions, and the difference is reported.

Then it is interrupted: somebody asks the next question while an answer is a second old, and the loudspeaker's level is
watched from the first sound of that question on. For this the voice is a steady tone, in which a drop can be seen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from live_room import TICK_S, Asked, Conversation, NoLamp, Turn, loud_span, questions, spread
from machine import describe_machine

from lorgnette.assistant.config import LiveConfig, load_config
from lorgnette.assistant.live.assistant import LiveParts
from lorgnette.assistant.live.events import SpeakingBegan, TurnDone
from lorgnette.assistant.turn import Turns
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import LorgnetteError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ, load_sound

BLOCK = 5
_WARM_UP = 2
_QUESTION = "Describe what you see."
_LEVEL_SAMPLES = 64  # two periods of the tone at 16 kHz: each stretch of this length holds its peak
_DUCKED, _SILENT, _SILENT_S = 0.6, 0.01, 0.1


class SteadyVoice:
    """A synthesizer whose words are a tone of 500 Hz, 10 s a sentence."""

    rate_hz = SPEECH_RATE_HZ

    def synthesize(self, text: str) -> Iterator[AudioChunk]:
        """As Synthesizer.synthesize."""
        time_s = np.arange(10 * self.rate_hz) / self.rate_hz
        yield AudioChunk((0.5 * np.sin(2 * np.pi * 500 * time_s)).astype(np.float32), self.rate_hz)


def waterfall(turns: list[Turn]) -> dict[str, dict[str, float]]:
    """Medians over the turns, in milliseconds: when each stage began, after the end of speech, and how long it took."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for turn in turns:
        trace, end_ns = turn.trace, turn.end_ns
        bounds = {
            "silence until the soft end": (end_ns, trace.soft_end_at_ns),
            "decision that it was the end": (trace.soft_end_at_ns, trace.end_of_turn_at_ns),
            "transcription": (trace.transcribe_start_at_ns, trace.transcript_at_ns),
            "choice of the picture": (trace.transcript_at_ns, trace.look_start_at_ns),
            "look": (trace.look_start_at_ns, trace.look_end_at_ns),
            "prefill of the question": (trace.answer_start_at_ns, trace.first_token_at_ns),
            "first clause": (trace.first_token_at_ns, trace.first_clause_at_ns),
            "synthesis": (trace.first_clause_at_ns, trace.first_audio_at_ns),
            "hand-over": (trace.first_audio_at_ns, trace.played_at_ns),
            "loudspeaker": (trace.played_at_ns, end_ns + round(turn.heard_s * 1e9)),
        }
        for name, (start_ns, stop_ns) in bounds.items():
            if start_ns is not None and stop_ns is not None:
                spans.setdefault(name, []).append(((start_ns - end_ns) / 1e6, (stop_ns - start_ns) / 1e6))
    return {
        name: {"at": round(statistics.median(begun), 1), "took": round(statistics.median(lasted), 1)}
        for name, (begun, lasted) in ((name, zip(*found, strict=True)) for name, found in spans.items())
    }


def figures(turns: list[Turn | None]) -> dict[str, Any]:
    """What came of the turns. Raises LorgnetteError where there was no answer at all."""
    answered = [turn for turn in turns if turn is not None]
    if not answered:
        raise LorgnetteError("not one question was answered", "lorgnette simulate shows what happens in a conversation")
    ages = [turn.trace.frame_age_s for turn in answered if turn.trace.frame_age_s is not None]
    return {
        "turns": len(turns),
        "unanswered": len(turns) - len(answered),
        "cut_off": sum(turn.cut_off for turn in answered),
        "heard_s": spread([turn.heard_s for turn in answered]),
        "handed_over_s": spread([turn.handed_s for turn in answered]),
        "picture_age_at_the_end_s": spread(ages),
        "seen_before_the_question_ended": sum(age > 0 for age in ages),
        "stages_ms": waterfall(answered),
    }


def converse(parts: LiveParts, settings: dict[str, LiveConfig], asked: list[Asked], wiring: Wiring) -> dict[str, Any]:
    """Blocks of turns, in turn with each of the settings."""
    found: dict[str, list[Turn | None]] = {name: [] for name in settings}
    for start in range(0, len(asked), BLOCK):
        names = list(settings) if start // BLOCK % 2 == 0 else list(settings)[::-1]
        for name in names:
            with Conversation(parts, settings[name], wiring.gate) as conversation:
                for number, one in enumerate(asked[start : start + BLOCK]):
                    # Not even the other settings may have seen the picture.
                    mine = replace(one, number=one.number * len(names) + list(settings).index(name))
                    found[name].append(conversation.ask(mine))
                    _tell(f"{name} {start + number + 1}/{len(asked)}: {_in_short(found[name][-1])}")
                for trouble in conversation.troubles:
                    _tell(f"trouble: {trouble}")
    report: dict[str, Any] = {name: figures(turns) for name, turns in found.items()}
    if len(found) == 2:
        pairs = [
            (a.heard_s, b.heard_s) for a, b in zip(*found.values(), strict=True) if a is not None and b is not None
        ]
        report["gain"] = {
            "heard_earlier_s": round(statistics.median(b - a for a, b in pairs), 3),
            "ratio": round(statistics.median(b / a for a, b in pairs), 2),
        }
    return report


def yielding(level: npt.NDArray[np.floating], rate_hz: float) -> tuple[float, float] | None:
    """Seconds until the level, steady at first, has dropped and until it stays silent for 0.1 s; None where it does
    not. `level` begins with the interruption, `rate_hz` values a second."""
    steady = level[0]
    lower, silent = np.flatnonzero(level < _DUCKED * steady), level < _SILENT * steady
    long = max(1, round(_SILENT_S * rate_hz))
    stretches = (
        np.lib.stride_tricks.sliding_window_view(silent, long).all(axis=1) if len(silent) >= long else silent[:0]
    )
    if steady == 0 or len(lower) == 0 or not stretches.any():
        return None
    return float(lower[0]) / rate_hz, float(np.argmax(stretches)) / rate_hz


def interrupt(parts: LiveParts, settings: LiveConfig, asked: list[Asked], wiring: Wiring) -> dict[str, Any]:
    """Ask something aloud over an answer, again and again."""
    engine, transcriber = wiring.engine(), parts.turns.transcriber()
    toneful = replace(parts, turns=Turns(lambda: engine, lambda: transcriber, SteadyVoice))
    found: list[tuple[float, float] | None] = []
    for one in asked:
        with Conversation(toneful, settings, wiring.gate) as conversation:
            room, known = conversation.room, len(conversation.events)
            conversation.camera.show(one.example, one.number)
            conversation.assistant.ask(_QUESTION)
            if not conversation.wait_for(SpeakingBegan, known):
                found.append(None)
                continue
            room.sleep(1.0)
            sound = load_sound(one.example.audio, 60.0)
            begin_s, end_s = room.say(sound)
            conversation.wait_for(TurnDone, known)  # the first answer is over
            room.sleep(end_s - room.now_s)
            span = loud_span(sound.samples)
            assert span is not None
            first, last = (round(begin_s * SPEECH_RATE_HZ) + sample for sample in span)
            heard = np.abs(room.heard().samples[first : last + round(_SILENT_S * SPEECH_RATE_HZ)])
            level = heard[: len(heard) // _LEVEL_SAMPLES * _LEVEL_SAMPLES].reshape(-1, _LEVEL_SAMPLES).max(axis=1)
            found.append(yielding(level, SPEECH_RATE_HZ / _LEVEL_SAMPLES))
            _tell(f"interrupted: {found[-1]}")
    yielded = [each for each in found if each is not None]
    report: dict[str, Any] = {"times": len(found), "not_yielded": len(found) - len(yielded)}
    if yielded:
        lower, silent = zip(*yielded, strict=True)
        report["lower_s"] = spread([value + TICK_S for value in lower])
        report["silent_s"] = spread([value + TICK_S for value in silent])
    return report


def measure(args: argparse.Namespace) -> dict[str, Any]:
    base = ["live.start=open", f"threads={args.threads}", *args.set]
    config = load_config(None, base)
    wiring = Wiring(config, indicator=NoLamp())
    parts = wiring.live_parts()
    settings = {"with" if args.without else "live": config.live}
    if args.without:
        settings["without"] = load_config(None, [*base, f"live.{args.without}=false"]).live
    before = describe_machine()
    with Conversation(parts, config.live, wiring.gate) as conversation:
        for one in questions(_WARM_UP, first_number=10**6):
            conversation.ask(one)
    report = {"machine": before, "settings": base, "left_out": args.without}
    report |= converse(parts, settings, questions(args.turns), wiring)
    if args.interruptions:
        asked = questions(args.interruptions, first_number=2 * 10**6)
        report["interrupted"] = interrupt(parts, config.live, asked, wiring)
    return report | {"machine_afterwards": describe_machine()}


def show(report: dict[str, Any]) -> None:
    print(report["machine"], *report["settings"], sep="\n  ")
    for name in (name for name in ("live", "with", "without") if name in report):
        found = report[name]
        print(f"{name}: {found['turns']} turns, {found['unanswered']} unanswered, {found['cut_off']} cut off")
        for key in ("heard_s", "handed_over_s", "picture_age_at_the_end_s"):
            print(f"  {key.replace('_', ' '):32} " + _spread(found[key]))
        print(f"  seen before the question ended   {found['seen_before_the_question_ended']}")
        for stage, span in found["stages_ms"].items():
            print(f"    {stage:30} at {span['at']:7.1f} ms, took {span['took']:7.1f} ms")
    if "gain" in report:
        gain = "{heard_earlier_s:.3f} s earlier, {ratio:.2f} times as fast".format(**report["gain"])
        print(f"gain of {report['left_out']}: {gain}")
    for key, value in report.get("interrupted", {}).items():
        print(f"interrupted, {key.replace('_', ' '):19} " + (_spread(value) if isinstance(value, dict) else str(value)))
    print(report["machine_afterwards"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--interruptions", type=int, default=10)
    parser.add_argument(
        "--without", choices=("look_ahead", "partials"), help="the same without this part, for the gain"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", metavar="A.B=C", action="append", default=[], help="a setting, as of lorgnette")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        report = measure(args)
    except LorgnetteError as error:
        parser.exit(2, f"{error}\n")
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        show(report)
    return 0


def _spread(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in found.items())


def _in_short(turn: Turn | None) -> str:
    return f"{turn.heard_s:.3f} s, {turn.done.question} {turn.done.answer}" if turn else "no answer"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
