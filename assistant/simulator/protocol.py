"""The wire between the page and the program: binary packets with a fixed header, and JSON texts.

docs/protocol.md says what each message is for; `protocol.schema.json` is built from the tables here.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from lorgnette.device.errors import InputError

VERSION = 1
MAX_TEXT_BYTES = 64 * 2**10
MAX_AUDIO_BYTES = 64 * 2**10
MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000
MAX_PICTURE_BYTES = 2 * 2**20
MAX_MESSAGE_BYTES = 4 * 2**20
"""What is larger than this closes the connection; what is too large for its kind is refused and the rest goes on."""

_HEADER = struct.Struct("<BBHIQ")
HEADER_BYTES = _HEADER.size


class ProtocolError(InputError):
    """The page sent something that is no message."""


class Kind(IntEnum):
    """What a packet carries. `position` is for sound the number of samples before it in its stream, for a picture of
    the page its age in microseconds when it was sent, for one that was looked at its monotonic capture time, and for
    what was played its rate in Hz."""

    SOUND_HEARD = 1
    PICTURE_SEEN = 2
    SOUND_TO_PLAY = 3
    PICTURE_LOOKED_AT = 4
    SOUND_PLAYED = 5


@dataclass(frozen=True, slots=True)
class Packet:
    """A binary message. `stream` tells one opening of a device from the next, `sequence` counts up in each."""

    kind: Kind
    stream: int
    sequence: int
    position: int
    body: bytes

    def packed(self) -> bytes:
        return _HEADER.pack(self.kind, VERSION, self.stream, self.sequence, self.position) + self.body


def unpack(data: bytes) -> Packet:
    """The packet in a binary message of the page. Raises ProtocolError."""
    if len(data) < HEADER_BYTES:
        raise ProtocolError(f"a binary message of {len(data)} bytes has no header", f"it takes {HEADER_BYTES} bytes")
    kind, version, stream, sequence, position = _HEADER.unpack_from(data)
    if version != VERSION:
        raise ProtocolError(f"a packet of version {version}", f"this program speaks version {VERSION}")
    body = data[HEADER_BYTES:]
    if kind in (Kind.SOUND_HEARD, Kind.SOUND_PLAYED):
        _check_size(body, MAX_AUDIO_BYTES, "sound")
        if len(body) % 2:
            raise ProtocolError("a packet of sound ends within a sample", "samples are 16 bits")
        if kind == Kind.SOUND_PLAYED and not MIN_RATE_HZ <= position <= MAX_RATE_HZ:
            raise ProtocolError(f"sound played at {position} Hz", f"it is {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz")
    elif kind == Kind.PICTURE_SEEN:
        _check_size(body, MAX_PICTURE_BYTES, "picture")
    else:
        raise ProtocolError(f"a page sends no packets of kind {kind}", "1 and 5 are sound, 2 is a picture")
    return Packet(Kind(kind), stream, sequence, position, body)


def _check_size(body: bytes, limit_bytes: int, noun: str) -> None:
    if not body:
        raise ProtocolError(f"a packet holds no {noun}", "leave it out")
    if len(body) > limit_bytes:
        raise ProtocolError(f"a packet of {noun} is larger than {limit_bytes // 1024} KiB", "send less at a time")


Fields = Mapping[str, Mapping[str, Any]]

_YES_OR_NO = {"type": "boolean"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_TEXT = {"type": "string", "maxLength": 2000}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 2**53}
DEVICES = ("camera", "microphone", "speaker")

COMMANDS: Mapping[str, Fields] = {
    "press_button": {},
    "tap": {},
    "hold_button": {"held": _YES_OR_NO},
    "wear": {"worn": _YES_OR_NO},
    "fold": {"folded": _YES_OR_NO},
    "battery": {"level": _SHARE},
    "heat": {"level": {"type": "string", "enum": ["normal", "warm", "hot"]}},
    "ask": {"text": _TEXT | {"minLength": 1}},
    "stop": {},
    "repeat": {},
    "faults": {
        "drop": _SHARE,
        "delay_s": {"type": "number", "minimum": 0, "maximum": 5},
        "jitter_s": {"type": "number", "minimum": 0, "maximum": 2},
        "frame_rate_hz": {"type": "number", "minimum": 0, "maximum": 60},
        "camera_lost": _YES_OR_NO,
        "microphone_lost": _YES_OR_NO,
        "microphone_denied": _YES_OR_NO,
        "speaker_stalled": _YES_OR_NO,
    },
    "device": {"device": {"type": "string", "enum": list(DEVICES)}, "available": _YES_OR_NO, "reason": _TEXT},
    "played": {
        "stream": {"type": "integer", "minimum": 0, "maximum": 65535},
        "position": _COUNT,
        "latency_s": {"type": "number", "minimum": 0, "maximum": 5},
    },
    "stop_replay": {},
}
"""What the page says, with the JSON schema of each field. Every field is required and there are no others."""


def parse_command(text: str) -> dict[str, Any]:
    """The command in a text message, checked against COMMANDS. Raises ProtocolError."""
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise ProtocolError(f"a text message is larger than {MAX_TEXT_BYTES // 1024} KiB", "send less at a time")
    try:
        command = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a text message is not JSON", "see docs/protocol.md") from error
    if not isinstance(command, dict) or not isinstance(command.get("type"), str):
        raise ProtocolError("a text message is not an object with a type", "see docs/protocol.md")
    name = command["type"]
    if name not in COMMANDS:
        raise ProtocolError(f"there is no command {name[:40]!r}", f"choose from {', '.join(COMMANDS)}")
    fields = COMMANDS[name]
    if command.keys() - {"type"} != fields.keys():
        wanted = f"takes the fields {', '.join(fields)}" if fields else "takes no fields"
        raise ProtocolError(f"{name} {wanted}", "see docs/protocol.md")
    for field, schema in fields.items():
        if not _fits(command[field], schema):
            raise ProtocolError(f"{name} cannot take that as {field}", f"it is {json.dumps(schema)}")
    return command


def _fits(value: object, schema: Mapping[str, Any]) -> bool:
    match schema["type"]:
        case "boolean":
            return isinstance(value, bool)
        case "string":
            fits = isinstance(value, str) and len(value) <= schema.get("maxLength", MAX_TEXT_BYTES)
            return fits and len(str(value).strip()) >= schema.get("minLength", 0) and _chosen(value, schema)
        case _:
            if isinstance(value, bool) or not isinstance(value, int if schema["type"] == "integer" else int | float):
                return False
            return math.isfinite(value) and schema["minimum"] <= value <= schema["maximum"]


def _chosen(value: object, schema: Mapping[str, Any]) -> bool:
    return "enum" not in schema or value in schema["enum"]
