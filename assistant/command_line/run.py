"""Talk with it through this machine's camera, microphone and speaker.

examples:
  lorgnette run
  lorgnette run --start open --set live.echo=headset
  lorgnette run --camera photo.jpg --start push
  lorgnette run --json > talk.jsonl

Say the wake word ("Alexa"), then ask; for a few seconds after an answer you can go on without it. Say "stop" or
"repeat" at any time, or talk over the answer. On the terminal, Enter is the button of the glasses, a line of text is a
question in writing, and Ctrl-C ends the talk. With --json every event is a line on standard output.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from typing import TYPE_CHECKING

from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.assistant.command_line.waterfall import summary
from lorgnette.assistant.live.events import (
    AnswerText,
    LiveEvent,
    QuestionHeard,
    SpeakingEnded,
    SpeechResumed,
    StateChanged,
    Trouble,
    TurnDone,
    as_message,
)
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import DeviceError

if TYPE_CHECKING:
    from lorgnette.assistant.live.assistant import LiveAssistant
    from lorgnette.device.camera import Camera

_AHEAD_S = 0.06
"""Of sound in the speaker: little, so that an interrupted answer falls silent at once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--camera", metavar="FILE", help="a picture file in place of the camera")
    parser.add_argument("--start", choices=("wake", "open", "push"), help="what begins a question (default: wake)")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines")


def run(args: argparse.Namespace) -> int:
    from lorgnette.assistant.live.assistant import LiveAssistant, LiveDevices

    config = args.config
    if args.start:
        config = dataclasses.replace(config, live=dataclasses.replace(config.live, start=args.start))
    wiring = Wiring(config, BuildProgress())
    _check_sound_devices()
    camera = _camera(args.camera, wiring)
    parts = wiring.live_parts()
    devices = LiveDevices(camera, wiring.microphone(), wiring.speaker(_AHEAD_S))
    watch = wiring.watched(_print_json if args.json else Talk())
    with LiveAssistant(parts, devices, config.live, watch, wiring.traces(), config.camera.max_age_s) as assistant:
        if parts.wake_word is not None:
            print(f'say "{parts.wake_word.phrase}", then ask; Enter is the button, Ctrl-C ends', file=sys.stderr)
        _serve_terminal(assistant)
    return 0


def _check_sound_devices() -> None:
    """What is missing is said now, not from a thread later. Raises DeviceError."""
    from lorgnette.device.portaudio import find_sound_devices

    found = find_sound_devices()
    if not found.microphones:
        raise DeviceError("there is no microphone", "plug one in, or use lorgnette simulate")
    if not found.speakers:
        raise DeviceError("there is no speaker", "plug one in, or use lorgnette simulate")


def _camera(file: str | None, wiring: Wiring) -> Camera:
    if file is None:
        return wiring.camera()
    from lorgnette.device.camera import FileCamera
    from lorgnette.device.picture import load_picture

    load_picture(file)  # a file that is no picture is told of at once
    return FileCamera(file, wiring.gate)


def _serve_terminal(assistant: LiveAssistant) -> None:
    """Lines of standard input until the wearer ends the talk; without any it goes on until Ctrl-C."""
    for line in sys.stdin:
        if line.strip():
            assistant.ask(line)
        else:
            assistant.press_button()
    while True:
        time.sleep(1.0)


class Talk:
    """Prints a conversation: what was asked and answered to stdout, everything else to stderr."""

    def __init__(self) -> None:
        self._answer: dict[int, str] = {}

    def __call__(self, event: LiveEvent) -> None:
        match event:
            case StateChanged(state, reason):
                print(f"[{state}: {reason}]", file=sys.stderr, flush=True)
            case QuestionHeard(turn, _, text, "question"):
                self._answer[turn] = ""
                print(f"? {text}", file=sys.stderr, flush=True)
            case SpeechResumed(turn, _):
                self._answer.pop(turn, None)
            case AnswerText(turn, _, text):
                self._answer[turn] = self._answer.get(turn, "") + text
            case SpeakingEnded(turn, said, interrupted):
                whole = self._answer.pop(turn, "").strip() or said
                print(f"{said} ..." if interrupted else whole, flush=True)
            case TurnDone(_, _, _, trace):
                print(f"({summary(trace)})", file=sys.stderr, flush=True)
            case Trouble(part, message, hint, over):
                mark = "works again" if over else f"{message} ({hint})" if hint else message
                print(f"[{part}: {mark}]", file=sys.stderr, flush=True)


def _print_json(event: LiveEvent) -> None:
    print(json.dumps(as_message(event), ensure_ascii=False), flush=True)
