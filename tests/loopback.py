"""Servers of the tests: on a free port of this machine, until the block ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Handles = type[BaseHTTPRequestHandler] | Callable[..., BaseHTTPRequestHandler]


@contextmanager
def serving(handler: Handles) -> Iterator[str]:
    """The address of a server whose requests go to `handler`, without a slash at its end.

    A request that hangs does not keep the server from stopping.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def bound(handler: type[BaseHTTPRequestHandler], **values: Any) -> type[BaseHTTPRequestHandler]:
    """`handler` with `values` as attributes, such as what it serves."""
    return type("BoundHandler", (handler,), values)
