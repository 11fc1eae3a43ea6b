"""Try the assistant in the browser: its camera and microphone, and a pair of glasses drawn on the page.

examples:
  lorgnette simulate
  lorgnette simulate --camera photo.jpg
  lorgnette simulate --replay conversation.zip
  lorgnette simulate --no-browser --port 8080

Prints the page's address, with the token that is needed to open it, and serves until Ctrl-C. The server listens on this
machine alone unless --host says otherwise; a browser gives a page camera and microphone only on this machine or over
https.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lorgnette.assistant.command_line.progress import BuildProgress
from lorgnette.assistant.command_line.serve import add_server_arguments
from lorgnette.assistant.wiring import Wiring
from lorgnette.device.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorgnette.assistant.live.events import LiveEvent
    from lorgnette.assistant.simulator.conversation import Begin, Conversation
    from lorgnette.assistant.simulator.recording import Tape
    from lorgnette.assistant.simulator.server import CameraFile
    from lorgnette.device.camera import Camera
    from lorgnette.device.microphone import Microphone
    from lorgnette.device.speaker import LiveSpeaker

_VIDEOS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg", ".mov": "video/mp4"}
_MAX_VIDEO_BYTES = 512 * 2**20
_LONGEST_PX = 1280


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_server_arguments(parser)
    parser.add_argument("--no-browser", action="store_true", help="do not open the page")
    parser.add_argument("--camera", type=Path, metavar="FILE", help="a picture or video for the page's camera")
    parser.add_argument("--replay", type=Path, metavar="FILE.zip", help="play an exported conversation once more")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the faults' chances (default: 0)")


def run(args: argparse.Namespace) -> int:
    import asyncio

    from lorgnette.assistant.simulator.server import SimulatorServer
    from lorgnette.assistant.simulator.session import Scene, Session
    from lorgnette.assistant.web_server import LOCAL_HOSTS

    # Bad input is found before anything is fetched or loaded.
    camera_file = read_camera_file(args.camera) if args.camera is not None else None
    tape = read_tape(args.replay) if args.replay is not None else None
    config = args.config
    wiring = Wiring(config, BuildProgress())
    scene = Scene(
        settings(wiring),
        camera_file.name if camera_file else "",
        min(_LONGEST_PX, max(config.camera.width, config.camera.height)),
        args.seed,
    )

    async def serve() -> None:
        session = Session(beginning(wiring), scene, tape)
        server = SimulatorServer(session, args.host, args.port, camera_file)
        if args.host not in LOCAL_HOSTS:
            print("anyone on this network who has the address can see and hear through the page", file=sys.stderr)
        print(server.address, flush=True)
        if not args.no_browser:
            open_browser(server.address)
        try:
            await server.serve()
        finally:
            session.close()

    asyncio.run(serve())
    return 0


def beginning(wiring: Wiring) -> Begin:
    """What begins a conversation; all of them share the parts, which load from now on."""
    from lorgnette.assistant.live.assistant import LiveAssistant, LiveDevices

    parts = wiring.live_parts()
    config = wiring.config

    def begin(
        camera: Camera, microphone: Microphone, speaker: LiveSpeaker, watch: Callable[[LiveEvent], None]
    ) -> Conversation:
        devices = LiveDevices(camera, microphone, speaker)
        watched = wiring.watched(watch)
        return LiveAssistant(parts, devices, config.live, watched, wiring.traces(), config.camera.max_age_s)

    return begin


def settings(wiring: Wiring) -> dict[str, str]:
    """What the page shows of them."""
    config = wiring.config
    return {
        "engine": config.engine.bundle or "embedded model",
        "voice": config.speech.voice,
        "start": config.live.start,
        "wake_word": config.live.wake_word.replace("_", " "),
    }


def read_tape(path: Path) -> Tape:
    """An exported conversation. Raises InputError."""
    from lorgnette.assistant.simulator.tape_file import MAX_FILE_BYTES, unpack_tape
    from lorgnette.device.source import read_source

    return unpack_tape(read_source(path, "conversation", MAX_FILE_BYTES), str(path))


def read_camera_file(path: Path) -> CameraFile:
    """A picture that can be decoded, or a video of a kind that browsers play. Raises InputError."""
    from lorgnette.assistant.simulator.server import CameraFile
    from lorgnette.device.picture import MAX_BYTES, decode_picture
    from lorgnette.device.picture_header import read_header
    from lorgnette.device.source import read_source

    kind = _VIDEOS.get(path.suffix.lower())
    if kind is not None:
        return CameraFile(path.name, kind, read_source(path, "video", _MAX_VIDEO_BYTES))
    data = read_source(path, "picture", MAX_BYTES)
    header = read_header(data)
    if header is None:
        raise InputError(f"{path} is neither a picture nor a video", "give JPEG, PNG, WebP, GIF, BMP, MP4 or WebM")
    decode_picture(data, str(path))
    return CameraFile(path.name, f"image/{header.kind.lower()}", data)


def open_browser(address: str) -> None:
    """Show the page, where there is a browser to show it in."""
    import webbrowser

    if not webbrowser.open(address):
        print("there is no browser here: open the address yourself", file=sys.stderr)
