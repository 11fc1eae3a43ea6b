"""Naming events in a scenario: "speaking_began", "state_changed state=asleep", "trouble part=camera over=true"."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import get_args

from lorgnette.assistant.live.events import LiveEvent, as_message, event_name
from lorgnette.device.errors import InputError

# Events by their name on the wire, with the names of their fields.
_KNOWN = {event_name(kind.__new__(kind)): [f.name for f in dataclasses.fields(kind)] for kind in get_args(LiveEvent)}


@dataclass(frozen=True, slots=True)
class EventPattern:
    """An event's name on the wire, and the values that some of its fields have, in writing and small letters."""

    name: str
    fields: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> EventPattern:
        """From "NAME FIELD=VALUE ...". Raises InputError for events and fields that there are not."""
        name, *rest = text.split()
        if name not in _KNOWN:
            raise InputError(f"no event is called {name!r}", f"choose from {', '.join(_KNOWN)}")
        fields = [part.partition("=") for part in rest]
        for field, equals, _ in fields:
            if not equals or field not in _KNOWN[name]:
                raise InputError(f"{name} has no {field!r}", f"as {name} FIELD=VALUE, of {', '.join(_KNOWN[name])}")
        return cls(name, tuple((field, value.lower()) for field, _, value in fields))

    def matches(self, event: LiveEvent) -> bool:
        """Whether `event` is one of those."""
        if event_name(event) != self.name:
            return False
        message = as_message(event)
        return all(str(message[field]).lower() == value for field, value in self.fields)

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{field}={value}" for field, value in self.fields)])
