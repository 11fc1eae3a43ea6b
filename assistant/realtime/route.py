"""The WebSocket route, for any application of Starlette or FastAPI to carry."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import secrets
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from lorgnette.assistant.background import Pending
from lorgnette.assistant.realtime.parts import RealtimeParts
from lorgnette.assistant.realtime.session import Session

Value = TypeVar("Value")

PATH = "/v1/realtime"
_PROTOCOL = "realtime"
# How OpenAI's client for browsers, which cannot set a header, hands over its key.
_KEY_PROTOCOL = "openai-insecure-api-key."


def realtime_route(parts: RealtimeParts, token: str, path: str = PATH) -> WebSocketRoute:
    """Sessions at `path` for whoever knows `token`; each has its conversation, and `parts` are shared."""

    async def realtime(websocket: WebSocket) -> None:
        if not secrets.compare_digest(_key(websocket).encode(), token.encode()):
            error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "wrong or missing token"}
            await websocket.send_denial_response(JSONResponse({"error": error}, status_code=401))
            return
        await websocket.accept(_PROTOCOL if _PROTOCOL in _protocols(websocket) else None)
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def hold() -> None:
            try:
                _hold(parts, _Socket(websocket, loop))
            finally:
                loop.call_soon_threadsafe(over.set)

        session = Pending(hold, "realtime")
        await over.wait()
        session.get()

    return WebSocketRoute(path, realtime)


class _Socket:
    """A WebSocket for threads other than its loop's."""

    def __init__(self, websocket: WebSocket, loop: asyncio.AbstractEventLoop) -> None:
        self._websocket = websocket
        self._loop = loop

    def receive(self) -> str | None:
        """The next message; None where the client is gone."""
        try:
            message = self._wait(self._websocket.receive())
        except (concurrent.futures.CancelledError, RuntimeError):  # the server is going down
            return None
        return None if message["type"] == "websocket.disconnect" else message.get("text") or ""

    def send(self, message: dict[str, Any]) -> None:
        """Returns when it is under way. A client that is gone is noticed by `receive`."""
        with suppress(WebSocketDisconnect, RuntimeError, concurrent.futures.CancelledError):
            self._wait(self._websocket.send_text(json.dumps(message)))

    def _wait(self, doing: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()


def _hold(parts: RealtimeParts, socket: _Socket) -> None:
    session = Session(parts, socket.send)
    session.begin()
    try:
        while (text := socket.receive()) is not None:
            session.receive(text)
    finally:
        session.close()


def _key(websocket: WebSocket) -> str:
    scheme, _, key = websocket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    offered = (name.removeprefix(_KEY_PROTOCOL) for name in _protocols(websocket) if name.startswith(_KEY_PROTOCOL))
    return next(offered, "")


def _protocols(websocket: WebSocket) -> list[str]:
    return [name.strip() for name in websocket.headers.get("sec-websocket-protocol", "").split(",")]
