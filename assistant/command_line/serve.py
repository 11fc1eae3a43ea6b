"""Serve spoken conversations to OpenAI Realtime clients.

examples:
  lorgnette serve
  lorgnette serve --camera photo.jpg --port 8080
  lorgnette serve --camera webcam

Prints the base URL, and the token on a line of its own, and serves until Ctrl-C. A client shows pictures itself; a
question without one is about what --camera sees. The server listens on this machine alone unless --host says
otherwise. See docs/realtime.md.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.assistant.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorgnette.assistant.realtime.parts import RealtimeParts
    from lorgnette.device.frame import Frame

_WEBCAM = "webcam"
_MAX_MESSAGE_BYTES = 32 * 2**20
"""A picture of 20 MB as base64, with its event around it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_server_arguments(parser)
    parser.add_argument("--camera", metavar="FILE", help="a picture file, or webcam: what questions are about")


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="where to listen (default: any free port)")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="on which address (default: 127.0.0.1)")


def run(args: argparse.Namespace) -> int:
    import asyncio

    from starlette.applications import Starlette

    from lorgnette.assistant.realtime.route import PATH, realtime_route
    from lorgnette.assistant.web_server import LOCAL_HOSTS, WebServer

    wiring = Wiring(args.config, BuildProgress())
    with ExitStack() as stack:
        picture = _picture(args.camera, wiring, stack)
        server = WebServer(args.host, args.port)
        app = Starlette(routes=[realtime_route(_parts(wiring, picture), server.token)])
        if args.host not in LOCAL_HOSTS:
            print("words and pictures travel unencrypted: put a TLS proxy in front", file=sys.stderr)
        print(server.address + PATH.rpartition("/")[0], server.token, sep="\n", flush=True)
        asyncio.run(server.serve(app, _MAX_MESSAGE_BYTES))
    return 0


def _picture(camera: str | None, wiring: Wiring, stack: ExitStack) -> Callable[[], Frame] | None:
    """What shows the picture that a question without one is about. Raises InputError for a file that is none."""
    if camera is None:
        return None
    if camera == _WEBCAM:
        webcam = stack.enter_context(wiring.camera())
        return lambda: webcam.latest(wiring.config.camera.max_age_s)
    from lorgnette.device.picture import load_picture

    seen = load_picture(camera)
    return lambda: seen


def _parts(wiring: Wiring, picture: Callable[[], Frame] | None) -> RealtimeParts:
    from lorgnette.assistant.live.events import TurnDone
    from lorgnette.assistant.realtime.parts import RealtimeParts
    from lorgnette.speech.voice_activity import SileroDetector

    config, live, traces = wiring.config, wiring.live_parts(), wiring.traces()
    watch = wiring.watched(lambda event: traces.append(event.trace) if traces and isinstance(event, TurnDone) else None)
    return RealtimeParts(
        live.turns,
        SileroDetector,
        live.end_of_turn,
        picture,
        config.live.remember,
        live.language,
        voice=config.speech.voice,
        traced=lambda trace: watch(TurnDone(0, "", "", trace)),
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)
