"""The simulator's web server: the page, the WebSocket that is its glasses, and tapes in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from lorgnette.assistant.simulator.guard import LOCAL_NAMES, SAFE_HEADERS, Guard
from lorgnette.assistant.simulator.link import Goodbye, Outbox
from lorgnette.assistant.simulator.protocol import MAX_MESSAGE_BYTES
from lorgnette.assistant.simulator.session import Session, on_errand
from lorgnette.assistant.simulator.tape_file import MAX_FILE_BYTES, pack_tape, unpack_tape
from lorgnette.assistant.web_server import WebServer
from lorgnette.device.errors import DeviceError, InputError, LorgnetteError

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/schema+json",
}
_MOST_ERRORS = 50
_PROTOCOL_ERROR = 1008


@dataclass(frozen=True, slots=True)
class CameraFile:
    """A picture or video that the page shows its camera."""

    name: str
    kind: str
    data: bytes


class SimulatorServer:
    """Listens from the moment it is made; `address` is where, token included."""

    def __init__(
        self, session: Session, host: str = "127.0.0.1", port: int = 0, camera_file: CameraFile | None = None
    ) -> None:
        self._session = session
        self._camera_file = camera_file
        self._web = web = WebServer(host, port)
        self.port, self.token = web.port, web.token
        names = None if web.is_everywhere else LOCAL_NAMES | {f"[{host}]" if ":" in host else host.lower()}
        self.address = f"{web.address}/?token={web.token}"
        self.app = Guard(self._routes(), web.token, web.port, names)

    async def serve(self) -> None:
        """Serve until `stop` or Ctrl-C, which raises KeyboardInterrupt in the end."""
        await self._web.serve(self.app, MAX_MESSAGE_BYTES)

    def stop(self) -> None:
        """Let `serve` end."""
        self._web.stop()

    def _routes(self) -> Starlette:
        page = _page_files()

        async def part(request: Request) -> Response:
            name = request.path_params["name"] or "index.html"
            if name not in page:
                return Response("there is no such page\n", 404, SAFE_HEADERS, "text/plain")
            return Response(page[name], 200, SAFE_HEADERS, _KINDS[Path(name).suffix])

        return Starlette(
            routes=[
                WebSocketRoute("/glasses", self._glasses),
                Route("/camera", self._camera),
                Route("/tape", self._export, methods=["GET"]),
                Route("/tape", self._replay, methods=["POST"]),
                Route("/{name:path}", part),
            ]
        )

    async def _camera(self, request: Request) -> Response:
        file = self._camera_file
        if file is None:
            return Response("there is no camera file\n", 404, SAFE_HEADERS, "text/plain")
        return Response(file.data, 200, SAFE_HEADERS, file.kind)

    async def _export(self, request: Request) -> Response:
        tape = await self._session.export()
        packed = await on_errand(lambda: pack_tape(tape), "export")
        name = {"Content-Disposition": 'attachment; filename="conversation.zip"'}
        return Response(packed, 200, SAFE_HEADERS | name, "application/zip")

    async def _replay(self, request: Request) -> Response:
        packed = bytearray()
        async for piece in request.stream():
            packed += piece
            if len(packed) > MAX_FILE_BYTES:
                return _problem(413, InputError(f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB"))
        try:
            tape = await on_errand(lambda: unpack_tape(bytes(packed)), "tape")
            await self._session.replay(tape)
        except LorgnetteError as error:
            return _problem(409 if isinstance(error, DeviceError) else 400, error)
        return JSONResponse({"duration_s": round(tape.duration_s, 3)}, 200, SAFE_HEADERS)

    async def _glasses(self, page: WebSocket) -> None:
        await page.accept()
        outbox = Outbox()
        self._session.attach(outbox)
        sending = asyncio.get_running_loop().create_task(_send(page, outbox))
        try:
            await self._listen(page, outbox)
        finally:
            self._session.detach(outbox)
            sending.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError, OSError):
                await sending

    async def _listen(self, page: WebSocket, outbox: Outbox) -> None:
        errors = 0
        while (message := await page.receive())["type"] == "websocket.receive":
            try:
                if message.get("bytes") is not None:
                    self._session.take_packet(message["bytes"])
                else:
                    self._session.take_text(message["text"])
            except LorgnetteError as error:
                errors += 1
                outbox.put_message({"type": "error", "message": error.message, "hint": error.hint})
                if errors == _MOST_ERRORS:
                    outbox.put(Goodbye(_PROTOCOL_ERROR, "too many messages that are none"))


async def _send(page: WebSocket, outbox: Outbox) -> None:
    while True:
        message = await outbox.get()
        if isinstance(message, Goodbye):
            if page.application_state != WebSocketState.DISCONNECTED:
                await page.close(message.code, message.reason)
            return
        await (page.send_text(message) if isinstance(message, str) else page.send_bytes(message))


def _page_files() -> Mapping[str, bytes]:
    package = files("lorgnette.assistant.simulator")
    page = {part.name: part.read_bytes() for part in (package / "page").iterdir() if Path(part.name).suffix in _KINDS}
    return page | {"protocol.schema.json": (package / "protocol.schema.json").read_bytes()}


def _problem(status: int, error: LorgnetteError) -> Response:
    return JSONResponse({"message": error.message, "hint": error.hint}, status, SAFE_HEADERS)
