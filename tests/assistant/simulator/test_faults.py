"""The fault wrappers around devices made of files."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from lamp import Lamp
from parrot import make_jpeg

from lorgnette.assistant.simulator.faults import Faults, FaultSwitches, FaultyCamera, FaultyMicrophone, FaultySpeaker
from lorgnette.device.camera import FileCamera, StaleFrame
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.microphone import CHUNK_SAMPLES, WavMicrophone
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk
from lorgnette.device.wav import write_wav

CHUNK_S = CHUNK_SAMPLES / 16_000


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """200 chunks, each of another constant level, so that each can be known again."""
    path = tmp_path / "steps.wav"
    write_wav(path, [AudioChunk(np.repeat(np.arange(1, 201, dtype=np.float32) / 256, CHUNK_SAMPLES), 16_000)])
    return path


def heard(recording: Path, faults: Faults, count: int, seed: int = 0) -> list[int]:
    """The numbers of the chunks that come out; 0 for silence."""
    microphone = FaultyMicrophone(WavMicrophone(recording, CaptureGate(Lamp())), FaultSwitches(faults), seed)
    with closing(cast(Any, microphone.chunks())) as chunks:
        taken = list(islice(chunks, count))
    assert all(chunk.samples.shape == (CHUNK_SAMPLES,) and chunk.rate_hz == 16_000 for chunk in taken)
    return [round(float(chunk.samples[0]) * 256) for chunk in taken]


def test_a_microphone_without_faults(recording: Path) -> None:
    assert heard(recording, Faults(), 200) == list(range(1, 201))


def test_lost_sound_is_silence_at_its_place(recording: Path) -> None:
    numbers = heard(recording, Faults(drop=0.25), 200)
    assert all(number in (0, at) for at, number in enumerate(numbers, 1))
    assert 25 <= numbers.count(0) <= 75
    assert numbers == heard(recording, Faults(drop=0.25), 200)
    assert numbers != heard(recording, Faults(drop=0.25), 200, seed=1)
    assert set(heard(recording, Faults(drop=1.0), 50)) == {0}


def test_late_sound_is_all_there_and_in_order(recording: Path) -> None:
    assert heard(recording, Faults(delay_s=0.5), 100) == list(range(1, 101))
    assert heard(recording, Faults(delay_s=0.1, jitter_s=0.3), 100) == list(range(1, 101))


def test_a_delay_is_as_long_as_asked_for(recording: Path) -> None:
    switches = FaultSwitches(Faults(delay_s=0.32))
    source = Counted(WavMicrophone(recording, CaptureGate(Lamp())))
    with closing(cast(Any, FaultyMicrophone(source, switches).chunks())) as chunks:
        next(chunks)
        assert source.count == 11  # ten are on their way
        switches.now = Faults()
        for _ in range(10):  # those come all at once when the delay ends
            next(chunks)
        assert source.count <= 12


class Counted:
    """A microphone that counts what was taken from it."""

    def __init__(self, microphone: WavMicrophone) -> None:
        self._microphone = microphone
        self.count = 0

    def chunks(self) -> Any:
        for chunk in self._microphone.chunks():
            self.count += 1
            yield chunk


@pytest.mark.parametrize("name", ["microphone_lost", "microphone_denied"])
def test_a_microphone_that_goes_away_and_comes_back(recording: Path, name: str) -> None:
    lamp, switches = Lamp(), FaultSwitches()
    microphone = FaultyMicrophone(WavMicrophone(recording, CaptureGate(lamp)), switches)
    chunks = microphone.chunks()
    next(chunks)
    assert lamp.lit == {"microphone"}
    switches.now = replace(switches.now, **{name: True})
    with pytest.raises(DeviceError):
        next(chunks)
    assert not lamp.lit
    with pytest.raises(DeviceError):
        next(microphone.chunks())
    assert not lamp.lit
    switches.now = Faults()
    with closing(cast(Any, microphone.chunks())) as again:
        next(again)


@pytest.fixture
def camera(tmp_path: Path) -> FileCamera:
    (tmp_path / "seen.jpg").write_bytes(make_jpeg())
    return FileCamera(tmp_path / "seen.jpg", CaptureGate(Lamp()))


def test_a_camera_that_goes_away_and_comes_back(camera: FileCamera) -> None:
    switches = FaultSwitches(Faults(camera_lost=True))
    with FaultyCamera(camera, switches) as faulty:
        with pytest.raises(DeviceError, match="stopped sending"):
            faulty.latest(1.0)
        switches.now = Faults()
        assert faulty.latest(1.0).width == 64


def test_lost_pictures(camera: FileCamera) -> None:
    faulty = FaultyCamera(camera, FaultSwitches(Faults(drop=1.0)))
    with pytest.raises(StaleFrame, match="no picture has arrived"):
        faulty.latest(1.0)
    switches = FaultSwitches(Faults(drop=0.5))
    faulty = FaultyCamera(camera, switches)
    times = []
    for _ in range(60):
        try:
            times.append(faulty.latest(60.0).timestamp_ns)
        except StaleFrame:
            continue
    assert times == sorted(times)
    assert 10 < len(set(times)) < 50


def test_a_slow_camera_gives_the_same_picture_until_the_next(camera: FileCamera) -> None:
    faulty = FaultyCamera(camera, FaultSwitches(Faults(frame_rate_hz=0.01)))
    first = faulty.latest(60.0)
    assert faulty.latest(60.0) is first
    with pytest.raises(StaleFrame):
        faulty.latest(0.0)
    faulty.close()
    assert faulty.latest(60.0) is not first


def test_late_pictures_are_as_old_as_they_are_late(camera: FileCamera) -> None:
    waits: list[float] = []
    faulty = FaultyCamera(camera, FaultSwitches(Faults(delay_s=0.5, jitter_s=0.25)), wait=waits.append)
    for _ in range(20):
        faulty.latest(60.0)
    assert all(0.5 <= wait <= 0.75 for wait in waits) and len(set(waits)) == 20


def test_a_speaker_that_stalls_and_goes_on() -> None:
    room = Room(CaptureGate(Lamp()), pace=4.0)
    switches = FaultSwitches(Faults(speaker_stalled=True))
    speaker = FaultySpeaker(room.speaker, switches)
    chunk = AudioChunk(np.full(8_000, 0.5, np.float32), 16_000)
    mending = threading.Timer(0.3, lambda: setattr(switches, "now", Faults()))
    mending.start()
    with speaker:
        speaker.play(chunk)
        assert switches.now == Faults()
    assert np.count_nonzero(room.heard().samples) >= 7_900


def test_a_stalled_speaker_counts_what_it_holds_and_lets_go_of_it() -> None:
    room = Room(CaptureGate(Lamp()), pace=4.0)
    speaker = FaultySpeaker(room.speaker, FaultSwitches(Faults(speaker_stalled=True)))
    chunk = AudioChunk(np.full(8_000, 0.5, np.float32), 16_000)
    dropped: list[float] = []
    interrupting = threading.Timer(0.3, lambda: dropped.append(speaker.clear()))
    interrupting.start()
    speaker.play(chunk)
    interrupting.join()
    assert dropped == [0.5]
    assert speaker.waiting_s == 0.0
    assert not room.heard().samples.any()


def test_a_speaker_that_stalls_for_long_is_gone() -> None:
    room = Room(CaptureGate(Lamp()))
    speaker = FaultySpeaker(room.speaker, FaultSwitches(Faults(speaker_stalled=True)))
    with pytest.raises(DeviceError, match="stopped playing"):
        speaker.play(AudioChunk(np.zeros(160, np.float32), 16_000))


def test_a_faulty_speaker_passes_on_its_volume() -> None:
    room = Room(CaptureGate(Lamp()))
    speaker = FaultySpeaker(room.speaker, FaultSwitches())
    speaker.volume = 0.25
    assert room.speaker.volume == speaker.volume == 0.25
