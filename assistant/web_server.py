"""A web server that listens from the moment it is made, on this machine unless it is told otherwise."""

from __future__ import annotations

import secrets
import socket

import uvicorn
from starlette.types import ASGIApp

from lorgnette.device.errors import InputError

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")

_EVERYWHERE = ("0.0.0.0", "::", "")
_PING_S = 5.0


class WebServer:
    """`token` is what its applications ask of those who come. `address` is where, without the token."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Raises InputError where it cannot listen there. Port 0 is any that is free."""
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            raise InputError(f"cannot listen on {host}:{port}: {error}", "choose another port, or 0 for any") from error
        self.is_everywhere = host in _EVERYWHERE
        self.port: int = self._socket.getsockname()[1]
        self.token = secrets.token_urlsafe(32)
        shown = "127.0.0.1" if self.is_everywhere else host
        self.address = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}"
        self._uvicorn: uvicorn.Server | None = None
        self._stopped = False

    async def serve(self, app: ASGIApp, max_message_bytes: int) -> None:
        """Serve `app` until `stop` or Ctrl-C, which raises KeyboardInterrupt in the end."""
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=max_message_bytes,
            ws_ping_interval=_PING_S,
            ws_ping_timeout=2 * _PING_S,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = uvicorn.Server(config)
        self._uvicorn.should_exit = self._stopped
        await self._uvicorn.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Let `serve` end."""
        self._stopped = True
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
