"""A recorded conversation: everything at its place on one time line, out to a file and in again."""

from __future__ import annotations

import io
import json
import time
import wave
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from lamp import Lamp
from parrot import make_jpeg

from lorgnette.assistant.simulator.recording import RecordedSpeaker, Recording, Tape
from lorgnette.assistant.simulator.tape_file import pack_tape, replayable, unpack_tape
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import InputError
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk


def level(number: float, seconds: float, rate_hz: int = 16_000, at_ns: int = 0) -> AudioChunk:
    return AudioChunk(np.full(round(seconds * rate_hz), number, np.float32), rate_hz, at_ns)


def test_both_sides_lie_on_one_time_line() -> None:
    recording = Recording()
    began_ns = time.monotonic_ns()
    recording.heard(level(0.25, 0.1, at_ns=began_ns + 100_000_000))
    recording.played(level(0.5, 0.2, 22_050), began_ns + 200_000_000)
    time.sleep(0.5)
    sound = recording.tape().sound
    assert len(sound) >= 8_000
    heard, played = np.flatnonzero(sound[:, 0]), np.flatnonzero(np.abs(sound[:, 1]) > 1000)
    assert abs(len(heard) - 1_600) < 16 and abs(len(played) - 3_200) < 60
    assert abs(played[0] - heard[0] - 1_600) < 60


def test_what_was_taken_back_was_not_played() -> None:
    recording = Recording()
    now_ns = time.monotonic_ns()
    for _ in range(10):
        recording.played(level(0.5, 0.1), now_ns)
    recording.cleared(now_ns + 250_000_000)
    recording.played(level(0.25, 0.1), now_ns + 600_000_000)
    time.sleep(0.9)
    played = recording.tape().sound[:, 1]
    assert abs(np.count_nonzero(played > 12_000) - 4_000) < 16
    assert abs(np.count_nonzero((played > 4_000) & (played < 12_000)) - 1_600) < 16


def test_a_ducked_answer_is_quieter_on_the_tape() -> None:
    recording = Recording()
    now_ns = time.monotonic_ns()
    recording.played(level(0.5, 0.4), now_ns)
    recording.turned_to(0.2, now_ns + 200_000_000)
    time.sleep(0.5)
    played = recording.tape().sound[:, 1]
    assert abs(np.count_nonzero(played > 16_000) - 3_200) < 16
    assert abs(np.count_nonzero((played > 3_000) & (played < 3_500)) - 3_200) < 16


def test_a_recorded_speaker_has_on_tape_what_the_room_heard() -> None:
    room = Room(CaptureGate(Lamp()))
    recording = Recording()
    with RecordedSpeaker(room.speaker, recording) as speaker:
        for number in range(1, 11):
            speaker.play(level(number / 16, 0.05))
    played, heard = recording.tape().sound[:, 1] / 32767, room.heard().samples
    assert abs(np.abs(played).sum() / np.abs(heard).sum() - 1) < 0.02


@pytest.fixture
def tape() -> Tape:
    sound = np.random.default_rng(0).integers(-9000, 9000, (32_000, 2)).astype(np.int16)
    done = {"type": "turn_done", "turn": 1, "question": "?", "answer": "!", "trace": {"engine": "parrot"}}
    commands = ((0.5, {"type": "press_button"}), (1.0, {"type": "ask", "text": "Was ist das für ein Gerät?"}))
    return Tape(sound, ((0.25, make_jpeg(1)), (1.5, make_jpeg(2))), ((1.0, done),), commands)


def test_out_to_a_file_and_in_again(tape: Tape) -> None:
    packed = pack_tape(tape)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert set(archive.namelist()) == {
            "tape.json",
            "conversation.wav",
            "events.jsonl",
            "traces.jsonl",
            "commands.jsonl",
            "frames/0001.jpg",
            "frames/0002.jpg",
        }
        assert json.loads(archive.read("traces.jsonl")) == {"engine": "parrot"}
        assert json.loads(archive.read("events.jsonl"))["at_s"] == 1.0
        with wave.open(io.BytesIO(archive.read("conversation.wav"))) as reader:
            assert (reader.getnchannels(), reader.getframerate(), reader.getnframes()) == (2, 16_000, 32_000)
    again = unpack_tape(packed)
    assert np.array_equal(again.sound, tape.sound)
    assert again.pictures == tape.pictures
    assert again.commands == tape.commands
    assert again.duration_s == 2.0


def rewritten(packed: bytes, name: str, change: Callable[[bytes], bytes | None]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            data = change(old.read(entry)) if entry == name else old.read(entry)
            if data is not None:
                new.writestr(entry, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tape.json", lambda data: None),
        ("tape.json", lambda data: b"[]"),
        ("tape.json", lambda data: data.replace(b"0001.jpg", b"../../etc")),
        ("tape.json", lambda data: data.replace(b'"version": 1', b'"version": 2')),
        ("tape.json", lambda data: data.replace(b'"taken_s": 0.25', b'"taken_s": "soon"')),
        ("conversation.wav", lambda data: b"RIFF"),
        ("conversation.wav", lambda data: data[:30]),
        ("frames/0001.jpg", lambda data: b"no picture"),
        ("commands.jsonl", lambda data: b'{"at_s": 1, "type": "explode"}\n'),
        ("commands.jsonl", lambda data: b'{"type": "stop"}\n'),
        ("commands.jsonl", lambda data: b"{"),
        ("conversation.wav", lambda data: bytes(90 * 2**20)),
    ],
)
def test_files_that_are_no_tape(tape: Tape, name: str, change: Callable[[bytes], bytes | None]) -> None:
    with pytest.raises(InputError):
        unpack_tape(rewritten(pack_tape(tape), name, change))


def test_bytes_that_are_no_tape(tape: Tape) -> None:
    packed = pack_tape(tape)
    broken = bytearray(packed)
    broken[len(packed) // 3] ^= 0xFF
    for data in (b"", b"PK", packed[: len(packed) // 2], bytes(broken)):
        with pytest.raises(InputError, match="not an exported conversation"):
            unpack_tape(data)


def test_what_is_played_again() -> None:
    assert replayable({"type": "press_button"}) and replayable({"type": "ask", "text": "?"})
    assert not replayable({"type": "faults"}) and not replayable({"type": "device"})
