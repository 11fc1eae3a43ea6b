"""Packets and messages: what is one, what is none, and that the schema says the same as the code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorgnette.assistant.live.events import (
    AnswerBegan,
    CaptureChanged,
    Looked,
    PartialHeard,
    SpeechJudged,
    SpeechPaused,
    State,
    StateChanged,
    Trouble,
    as_message,
)
from lorgnette.assistant.simulator.protocol import COMMANDS, Kind, Packet, ProtocolError, parse_command, unpack
from lorgnette.assistant.simulator.schema import protocol_schema
from lorgnette.device.frame import Frame

ROOT = Path(__file__).parents[3]
SCHEMA = protocol_schema()

EXAMPLES: dict[str, dict[str, Any]] = {
    "hold_button": {"held": True},
    "wear": {"worn": False},
    "fold": {"folded": True},
    "battery": {"level": 0.5},
    "heat": {"level": "hot"},
    "ask": {"text": "What is this?"},
    "faults": {
        "drop": 0.1,
        "delay_s": 1,
        "jitter_s": 0.0,
        "frame_rate_hz": 2,
        "camera_lost": False,
        "microphone_lost": True,
        "microphone_denied": False,
        "speaker_stalled": False,
    },
    "device": {"device": "camera", "available": False, "reason": "gone"},
    "played": {"stream": 3, "position": 4096, "latency_s": 0.02},
}


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """The part of JSON Schema that ours uses."""
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    if "oneOf" in schema:
        return sum(fits(value, one) for one in schema["oneOf"]) == 1
    if "anyOf" in schema:
        return any(fits(value, one) for one in schema["anyOf"])
    if "const" in schema:
        return bool(value == schema["const"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in kinds) or ("enum" in schema and value not in schema["enum"]):
        return False
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= value.keys() and all(
            fits(one, properties[name]) if name in properties else others and (others is True or fits(one, others))
            for name, one in value.items()
        )
    if isinstance(value, list):
        return all(fits(one, schema["items"]) for one in value)
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    return not isinstance(value, int | float) or schema.get("minimum", value) <= value <= schema.get("maximum", value)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    types = {"object": dict, "array": list, "string": str, "null": type(None), "integer": int, "number": (int, float)}
    return isinstance(value, types[kind])


def test_the_shipped_schema_is_what_the_code_says() -> None:
    shipped = (ROOT / "assistant/simulator/protocol.schema.json").read_text("utf-8")
    assert json.loads(shipped) == SCHEMA, "python -m lorgnette.assistant.simulator.schema > protocol.schema.json"


def test_the_page_about_the_protocol_names_every_message() -> None:
    page = (ROOT / "docs/protocol.md").read_text("utf-8")
    events, others, commands = (SCHEMA["$defs"][part]["oneOf"] for part in ("event", "message", "command"))
    names = [kind["properties"]["type"]["const"] for kind in [*events, *others[1:], *commands]]
    assert [name for name in names if f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(name: str) -> None:
    command = {"type": name} | EXAMPLES.get(name, {})
    assert parse_command(json.dumps(command)) == command
    assert fits(command, SCHEMA["$defs"]["command"])
    for broken in (command | {"more": 1}, {k: v for k, v in list(command.items())[:-1]} if len(command) > 1 else {}):
        assert not fits(broken, SCHEMA["$defs"]["command"])
        with pytest.raises(ProtocolError):
            parse_command(json.dumps(broken))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{" * 100_000, "larger than 64 KiB"),
        ("[" * 20_000, "not JSON"),
        ("[]", "not an object"),
        ('{"type": 3}', "not an object with a type"),
        ('{"type": "explode"}', "no command 'explode'"),
        ('{"type": "battery", "level": 2}', "cannot take that as level"),
        ('{"type": "battery", "level": NaN}', "cannot take that as level"),
        ('{"type": "battery", "level": true}', "cannot take that as level"),
        ('{"type": "battery", "level": 1e999}', "cannot take that as level"),
        ('{"type": "ask", "text": "   "}', "cannot take that as text"),
        ('{"type": "ask", "text": 5}', "cannot take that as text"),
        ('{"type": "fold", "folded": 1}', "cannot take that as folded"),
        ('{"type": "heat", "level": "boiling"}', "cannot take that as level"),
    ],
)
def test_what_is_no_command(text: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        parse_command(text)


def test_events_fit_the_schema() -> None:
    frame = Frame(np.zeros((4, 6, 3), np.uint8), 123)
    events = [
        StateChanged(State.LISTENING, "wake word"),
        SpeechPaused(1, 0),
        SpeechJudged(1, 0, 0.5),
        PartialHeard(1, "what is", "on"),
        Looked(frame, 12.5, cached=False),
        AnswerBegan(1, 0, None, None),
        AnswerBegan(1, 0, frame, 0.25),
        CaptureChanged("camera", True),
        Trouble("camera", "gone"),
    ]
    for event in events:
        message = json.loads(json.dumps(as_message(event) | {"at_ns": 1}))
        assert fits(message, SCHEMA["$defs"]["event"]), message
        assert not fits(message | {"type": "speech_began"}, SCHEMA["$defs"]["event"])


@given(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.binary(min_size=1, max_size=64))
def test_packets(stream: int, sequence: int, position: int, body: bytes) -> None:
    for kind in (Kind.SOUND_HEARD, Kind.PICTURE_SEEN):
        packet = Packet(kind, stream, sequence, position, body * 2)
        assert unpack(packet.packed()) == packet
    played = Packet(Kind.SOUND_PLAYED, stream, sequence, 8_000 + position % 184_001, body * 2)
    assert unpack(played.packed()) == played


def test_the_header_is_what_is_documented() -> None:
    packed = Packet(Kind.SOUND_HEARD, 0x0102, 0x03040506, 0x0708090A0B0C0D0E, b"ab").packed()
    assert packed.hex() == "01010201060504030e0d0c0b0a0908076162"


@given(st.binary(max_size=40))
def test_bytes_that_are_no_packet(data: bytes) -> None:
    try:
        packet = unpack(data)
    except ProtocolError as error:
        assert error.message
    else:
        assert packet.packed() == data


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (b"\x01\x01", "no header"),
        (Packet(Kind.SOUND_HEARD, 0, 0, 0, b"").packed(), "holds no sound"),
        (Packet(Kind.SOUND_HEARD, 0, 0, 0, b"abc").packed(), "within a sample"),
        (Packet(Kind.SOUND_HEARD, 0, 0, 0, b"a" * 70_000).packed(), "larger than 64 KiB"),
        (Packet(Kind.PICTURE_SEEN, 0, 0, 0, b"a" * (2**21 + 1)).packed(), "larger than 2048 KiB"),
        (Packet(Kind.SOUND_TO_PLAY, 0, 0, 0, b"ab").packed(), "no packets of kind 3"),
        (b"\x01\x02" + bytes(20), "of version 2"),
        (Packet(Kind.SOUND_PLAYED, 0, 0, 22_050, b"abc").packed(), "within a sample"),
        (Packet(Kind.SOUND_PLAYED, 0, 0, 0, b"ab").packed(), "at 0 Hz"),
    ],
)
def test_refused_packets(packed: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        unpack(packed)
