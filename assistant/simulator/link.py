"""From the conversation's threads to the page, which comes and goes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lorgnette.device.errors import DeviceError

_MOST_WAITING = 4096
"""Messages: a page that is further behind than that is let go, and may come again."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The end of a connection, with the code and the reason that its page is told."""

    code: int
    reason: str


Outgoing = str | bytes | Goodbye
GOING_AWAY, TAKEN_OVER, TOO_SLOW = 1001, 4001, 4002


class Outbox:
    """What waits to be sent to one page. Filled from any thread, emptied by the event loop that it was made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._count = 0
        self._lock = threading.Lock()

    def put(self, message: Outgoing) -> None:
        with self._lock:
            if self._count > _MOST_WAITING:
                return
            self._count += 1
            if self._count > _MOST_WAITING:
                message = Goodbye(TOO_SLOW, "the page does not keep up")
            with suppress(RuntimeError):  # the loop is closed: the server has ended
                self._loop.call_soon_threadsafe(self._waiting.put_nowait, message)

    def put_message(self, message: Mapping[str, Any]) -> None:
        self.put(json.dumps(message, ensure_ascii=False))

    async def get(self) -> Outgoing:
        message = await self._waiting.get()
        with self._lock:
            self._count -= 1
        return message


class Link:
    """The way to the page that wears the glasses now, if there is one. `visit` counts the connections."""

    def __init__(self) -> None:
        self._outbox: Outbox | None = None
        self._lock = threading.Lock()
        self.visit = 0

    @property
    def connected(self) -> bool:
        return self._outbox is not None

    def attach(self, outbox: Outbox) -> None:
        """From now on `outbox` is the page; another one is told that it was taken over."""
        with self._lock:
            if self._outbox is not None:
                self._outbox.put(Goodbye(TAKEN_OVER, "these glasses are worn in another window now"))
            self._outbox = outbox
            self.visit += 1

    def detach(self, outbox: Outbox) -> bool:
        """`outbox` is gone; whether it was the page."""
        with self._lock:
            was_ours = self._outbox is outbox
            if was_ours:
                self._outbox = None
                self.visit += 1
            return was_ours

    def send(self, message: Mapping[str, Any] | bytes) -> None:
        """Send to the page; nothing where there is none."""
        with self._lock:
            if self._outbox is None:
                return
            if isinstance(message, bytes):
                self._outbox.put(message)
            else:
                self._outbox.put_message(message)

    def require(self, device: str) -> int:
        """The visit. Raises DeviceError where nobody visits."""
        with self._lock:
            if self._outbox is None:
                raise DeviceError(f"the {device} is not there: no page is connected", "open the simulator's page")
            return self.visit
