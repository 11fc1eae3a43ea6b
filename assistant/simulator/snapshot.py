"""How everything stands, for a page that comes (back) in the middle of a conversation."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from lorgnette.assistant.live.events import State

_MOST_TURNS = 100


class Snapshot:
    """Kept up to date with every event and command."""

    def __init__(self) -> None:
        self.looked_at: bytes | None = None
        self._state: dict[str, Any] = {"state": State.IDLE, "reason": ""}
        self._turns: deque[Mapping[str, Any]] = deque(maxlen=_MOST_TURNS)
        self._troubles: dict[str, Mapping[str, Any]] = {}
        self._glasses: dict[str, Any] = {"worn": True, "folded": False, "battery": 1.0, "heat": "normal"}

    def told(self, event: Mapping[str, Any]) -> None:
        """The conversation told this."""
        match event["type"]:
            case "state_changed":
                self._state = {"state": event["state"], "reason": event["reason"]}
            case "turn_done":
                self._turns.append(event)
            case "trouble" if event["over"]:
                self._troubles.pop(event["part"], None)
            case "trouble":
                self._troubles[event["part"]] = event

    def obeyed(self, command: Mapping[str, Any]) -> None:
        """The page asked for this."""
        match command["type"]:
            case "wear":
                self._glasses["worn"] = command["worn"]
            case "fold":
                self._glasses["folded"] = command["folded"]
            case "battery":
                self._glasses["battery"] = command["level"]
            case "heat":
                self._glasses["heat"] = command["level"]

    def message(self) -> dict[str, Any]:
        """What a page is told of it."""
        known = {"turns": list(self._turns), "troubles": list(self._troubles.values()), "glasses": dict(self._glasses)}
        return self._state | known
