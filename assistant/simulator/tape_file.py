"""A tape as one zip file: conversation.wav, frames, events.jsonl, traces.jsonl, commands.jsonl, and tape.json."""

from __future__ import annotations

import io
import json
import struct
import wave
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lorgnette.assistant.simulator.protocol import COMMANDS, MAX_PICTURE_BYTES, ProtocolError, parse_command
from lorgnette.assistant.simulator.recording import KEPT_S, Tape
from lorgnette.assistant.trace import wall_clock
from lorgnette.device.errors import InputError
from lorgnette.device.picture_header import read_header
from lorgnette.device.sound_file import SPEECH_RATE_HZ

MAX_FILE_BYTES = 256 * 2**20
_VERSION = 1
_MOST_ENTRIES = 1000
_MAX_TEXT_BYTES = 64 * 2**20
_MAX_SOUND_BYTES = (KEPT_S + 60) * SPEECH_RATE_HZ * 4
_HINT = "give a file that the simulator exported"
# What zipfile, zlib, json and wave raise for a file that is none, is cut, encrypted, or made to mislead.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, wave.Error, KeyError, TypeError, ValueError, EOFError, RuntimeError, struct.error,
)  # fmt: skip
_SOUND, _MANIFEST, _EVENTS, _TRACES, _ORDERS = (
    "conversation.wav",
    "tape.json",
    "events.jsonl",
    "traces.jsonl",
    "commands.jsonl",
)


def pack_tape(tape: Tape) -> bytes:
    """The zip file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        frames = []
        for number, (taken_s, picture) in enumerate(tape.pictures, 1):
            name = f"frames/{number:04d}.jpg"
            archive.writestr(name, picture, zipfile.ZIP_STORED)
            frames.append({"name": name, "taken_s": round(taken_s, 3)})
        manifest = {
            "version": _VERSION,
            "exported": wall_clock(),
            "duration_s": round(tape.duration_s, 3),
            "left": "what the microphone heard",
            "right": "what the loudspeaker played",
            "frames": frames,
        }
        archive.writestr(_MANIFEST, json.dumps(manifest, indent=2))
        archive.writestr(_SOUND, _wav(tape))
        archive.writestr(_EVENTS, _lines({"at_s": round(at_s, 3), **event} for at_s, event in tape.events))
        traces = (event["trace"] for _, event in tape.events if event["type"] == "turn_done")
        archive.writestr(_TRACES, _lines(traces))
        archive.writestr(_ORDERS, _lines({"at_s": round(at_s, 3), **command} for at_s, command in tape.commands))
    return packed.getvalue()


def unpack_tape(packed: bytes, name: str = "the file") -> Tape:
    """The tape in a zip file that `pack_tape` made; events are not read. Raises InputError for any other file."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            if len(archive.namelist()) > _MOST_ENTRIES:
                raise InputError(f"{name} has too many entries", _HINT)
            manifest = json.loads(_read(archive, _MANIFEST, _MAX_TEXT_BYTES))
            if manifest["version"] != _VERSION:
                raise InputError(f"{name} is of another version of Lorgnette", "export it again")
            pictures = [
                (float(frame["taken_s"]), _picture(_read(archive, str(frame["name"]), MAX_PICTURE_BYTES)))
                for frame in manifest["frames"]
            ]
            orders = [json.loads(line) for line in _read(archive, _ORDERS, _MAX_TEXT_BYTES).splitlines()]
            commands = [(float(order.pop("at_s")), parse_command(json.dumps(order))) for order in orders]
            sound = _samples(_read(archive, _SOUND, _MAX_SOUND_BYTES))
    except ProtocolError as error:
        raise InputError(f"{name} has a command that does not exist: {error.message}", _HINT) from error
    except _BROKEN as error:
        raise InputError(f"{name} is not an exported conversation", _HINT) from error
    return Tape(sound, tuple(pictures), (), tuple(commands))


def replayable(command: Mapping[str, Any]) -> bool:
    """Whether a command is part of the conversation: not those in which the page speaks of its own devices."""
    return command["type"] in COMMANDS.keys() - {"device", "played", "faults", "stop_replay"}


def _read(archive: zipfile.ZipFile, entry: str, limit_bytes: int) -> bytes:
    """An entry, of which no more is unpacked than it may hold: what its header says need not be true."""
    with archive.open(entry) as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise InputError(f"{entry} in the file is larger than {limit_bytes // 2**20} MiB", _HINT)
    return data


def _picture(data: bytes) -> bytes:
    header = read_header(data)
    if header is None or header.kind != "JPEG":
        raise ValueError("not a JPEG")
    return data


def _wav(tape: Tape) -> bytes:
    packed = io.BytesIO()
    with wave.open(packed, "wb") as writer:
        writer.setparams((2, 2, SPEECH_RATE_HZ, 0, "NONE", "not compressed"))
        writer.writeframes(tape.sound.astype("<i2").tobytes())
    return packed.getvalue()


def _samples(data: bytes) -> np.ndarray[Any, np.dtype[np.int16]]:
    with wave.open(io.BytesIO(data)) as reader:
        if (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) != (2, 2, SPEECH_RATE_HZ):
            raise ValueError("not what was exported")
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2").reshape(-1, 2).astype(np.int16)


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
