"""Cancellation as a generation counter that stages compare (no shared events to reset)."""

from __future__ import annotations

import itertools
import threading


class CancelScope:
    """Work notes the generation it started in; `next()` makes all earlier work stale.

    >>> scope = CancelScope()
    >>> started = scope.generation
    >>> scope.stale(started)
    False
    >>> scope.next()
    1
    >>> scope.stale(started)
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counter = itertools.count(1)
        self.generation = 0

    def next(self) -> int:
        with self._lock:
            self.generation = next(self._counter)
            return self.generation

    def stale(self, generation: int) -> bool:
        return generation != self.generation
