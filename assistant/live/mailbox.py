"""Handing work from one thread to another: bounded, and where it comes faster than it is done, the oldest gives way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

_POLL_S = 0.1


class Mailbox(Generic[Item]):
    """At most `room` items wait; one more drops the oldest. Iterating takes them out, in order, until the mailbox is
    closed."""

    def __init__(self, room: int) -> None:
        self._items: deque[Item] = deque()
        self._room = room
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> None:
        """Put one in. Does nothing once the mailbox is closed."""
        with self._changed:
            if self._closed:
                return
            if len(self._items) >= self._room:
                self._items.popleft()
            self._items.append(item)
            self._changed.notify_all()

    def is_empty(self) -> bool:
        with self._changed:
            return not self._items

    def close(self) -> None:
        """End the consumer's loop, whatever still waits."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                while not self._items and not self._closed:
                    self._changed.wait(_POLL_S)
                if self._closed:
                    return
                item = self._items.popleft()
            yield item
