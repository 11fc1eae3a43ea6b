"""A capture indicator for tests, which can be broken."""

from __future__ import annotations


class Lamp:
    def __init__(self, broken: bool = False) -> None:
        self.lit: set[str] = set()
        self.broken = broken

    def light(self, source: str) -> None:
        if self.broken:
            raise OSError("no lamp")
        self.lit.add(source)

    def dark(self, source: str) -> None:
        self.lit.discard(source)
