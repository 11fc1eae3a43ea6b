"""The JSON schema of the protocol, built from the events and the tables: `protocol.schema.json` is what this prints."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from enum import EnumType
from typing import Any, get_args, get_origin, get_type_hints

from lorgnette.assistant.live.events import LiveEvent, event_name
from lorgnette.assistant.simulator.faults import Faults
from lorgnette.assistant.simulator.protocol import COMMANDS, DEVICES
from lorgnette.device.frame import Frame

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}
_TEXT, _NUMBER, _WHOLE, _FLAG = _PLAIN[str], _PLAIN[float], _PLAIN[int], _PLAIN[bool]
_DEVICE = {"type": "string", "enum": list(DEVICES)}
_SOURCES = {"type": "array", "items": {"type": "string", "enum": ["camera", "microphone"]}}


def protocol_schema() -> dict[str, Any]:
    """Definitions: `event` is what the conversation tells, `message` whatever the program sends in text (events too),
    `command` what the page sends."""
    events = {_name(kind): _message(_name(kind), _event_fields(kind)) for kind in get_args(LiveEvent)}
    commands = {name: _message(name, dict(fields)) for name, fields in COMMANDS.items()}
    messages = {name: _message(name, *fields) for name, fields in _messages().items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The simulator's protocol, version 1",
        "$defs": {
            "picture": _object({"width": _WHOLE, "height": _WHOLE, "timestamp_ns": _WHOLE}),
            "stage": _object({"name": _TEXT, "start_ms": _NUMBER, "end_ms": _NUMBER}),
            "event": {"oneOf": list(events.values())},
            "message": {"oneOf": [{"$ref": "#/$defs/event"}, *messages.values()]},
            "command": {"oneOf": list(commands.values())},
        },
        "oneOf": [{"$ref": "#/$defs/message"}, {"$ref": "#/$defs/command"}],
    }


def _messages() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Name, required and optional fields of what the program sends besides events."""
    faults = _object({field.name: _PLAIN[get_type_hints(Faults)[field.name]] for field in dataclasses.fields(Faults)})
    stream = {"type": "integer", "minimum": 0, "maximum": 65535}
    glasses = _object({"worn": _FLAG, "folded": _FLAG, "battery": _NUMBER, "heat": _TEXT})
    events = {"type": "array", "items": {"$ref": "#/$defs/event"}}
    hello = {
        "protocol": _WHOLE,
        "at_ns": _WHOLE,
        "settings": {"type": "object", "additionalProperties": _TEXT},
        "camera_file": _TEXT,
        "capture": _SOURCES,
        "faults": faults,
        "replaying": _FLAG,
        "state": _TEXT,
        "reason": _TEXT,
        "turns": events,
        "troubles": events,
        "glasses": glasses,
    }
    opened = {"longest_px": _WHOLE, "frame_rate_hz": _NUMBER, "rate_hz": _WHOLE, "level": _NUMBER}
    return {
        "hello": (hello, {}),
        "open": ({"device": _DEVICE, "stream": stream}, opened),
        "close": ({"device": _DEVICE, "stream": stream}, {}),
        "clear": ({"device": _DEVICE, "stream": stream}, {}),
        "volume": ({"level": _NUMBER}, {}),
        "replay": ({"running": _FLAG, "position_s": _NUMBER, "duration_s": _NUMBER}, {}),
        "error": ({"message": _TEXT, "hint": _TEXT}, {}),
    }


def _event_fields(kind: type) -> dict[str, Any]:
    fields = {name: _schema(hint) for name, hint in get_type_hints(kind).items()} | {"at_ns": _WHOLE}
    if _name(kind) == "turn_done":
        seconds = {"type": ["number", "null"]}
        stages = {"type": "array", "items": {"$ref": "#/$defs/stage"}}
        fields |= {"stages": stages, "first_audio_s": seconds, "tokens_per_s": seconds}
    return fields


def _name(kind: type) -> str:
    return event_name(typing.cast(LiveEvent, object.__new__(kind)))


def _schema(hint: Any) -> dict[str, Any]:
    if hint is Frame:
        return {"$ref": "#/$defs/picture"}
    if isinstance(hint, EnumType):
        return {"type": "string", "enum": [one.value for one in typing.cast(Any, hint)]}
    if isinstance(hint, types.UnionType) or get_origin(hint) is typing.Union:
        return {"anyOf": [_schema(one) for one in get_args(hint)]}
    if dataclasses.is_dataclass(hint):
        return _object({name: _schema(inner) for name, inner in get_type_hints(hint).items()})
    return _PLAIN[hint]


def _message(name: str, fields: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return _object({"type": {"const": name}} | fields, optional)


def _object(fields: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    properties = fields | (optional or {})
    return {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}


if __name__ == "__main__":
    print(json.dumps(protocol_schema(), indent=1))
