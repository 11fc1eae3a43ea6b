"""Listening while the ears are open, and only then."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from lamp import Lamp
from live_box import WHAT, eventually, tone, tones

from lorgnette.assistant.background import Pending
from lorgnette.assistant.live.ears import Ears
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk
from lorgnette.speech.echo_canceller import EchoCanceller, Headset


class Halver:
    """Takes half of everything for echo."""

    def played(self, chunk: AudioChunk) -> None:
        """Nothing is remembered."""

    def clean(self, chunk: AudioChunk) -> AudioChunk:
        return replace(chunk, samples=chunk.samples / 2)


class Listening:
    """Ears in a room."""

    def __init__(self, echo: EchoCanceller | None = None) -> None:
        self.lamp = Lamp()
        self.room = Room(CaptureGate(self.lamp), 6.0)
        self.heard: list[AudioChunk] = []
        self.unlit = 0
        self.works = 0
        self.ears = Ears(self.room.microphone, echo or Headset(), self._hear, self._work)

    def _hear(self, chunk: AudioChunk) -> None:
        self.unlit += "microphone" not in self.lamp.lit
        self.heard.append(chunk)

    def _work(self) -> None:
        self.works += 1

    def samples(self) -> np.ndarray:
        return np.concatenate([chunk.samples for chunk in self.heard])

    def wait_for(self, chunks: int) -> None:
        wanted = len(self.heard) + chunks
        eventually(lambda: len(self.heard) >= wanted)


def test_ears_that_are_closed_hear_nothing() -> None:
    me = Listening()
    running = Pending(me.ears.run, "ears")
    time.sleep(0.1)
    assert not me.heard and not me.lamp.lit and me.works == 0
    me.ears.open(True)
    me.wait_for(3)
    assert me.lamp.lit == {"microphone"}
    me.ears.open(False)
    eventually(lambda: not me.lamp.lit)
    heard = len(me.heard)
    time.sleep(0.1)
    assert len(me.heard) == heard
    me.ears.open(True)
    me.wait_for(3)
    me.ears.close()
    running.get()
    assert not me.lamp.lit
    assert me.works == 2
    assert me.unlit == 0


def test_every_chunk_is_heard_in_order_without_echo() -> None:
    me = Listening(Halver())
    running = Pending(me.ears.run, "ears")
    me.ears.open(True)
    me.wait_for(1)
    me.room.say(tone(WHAT, 0.5, level=0.4))
    eventually(lambda: len(me.heard) > 2 and tones(me.samples()) == [WHAT])
    me.wait_for(25)
    me.ears.close()
    running.get()
    assert float(np.abs(me.samples()).max()) == pytest.approx(0.2, abs=0.01)
    steps = np.diff([chunk.timestamp_ns for chunk in me.heard])
    assert np.all(np.abs(steps - 32_000_000 / 6) <= 1)


def test_a_microphone_that_fails_is_told_and_works_again() -> None:
    me = Listening()
    running = Pending(me.ears.run, "ears")
    me.ears.open(True)
    me.wait_for(3)
    assert me.works == 1
    me.room.unplug_microphone()
    with pytest.raises(DeviceError, match="unplugged"):
        running.get()
    assert not me.lamp.lit
    with pytest.raises(DeviceError, match="unplugged"):
        Pending(me.ears.run, "ears").get()
    assert me.works == 1
    me.room.plug_microphone()
    again = Pending(me.ears.run, "ears")
    me.wait_for(3)
    assert me.works == 2
    me.ears.close()
    again.get()
    assert not me.lamp.lit


def test_closed_before_it_was_opened() -> None:
    me = Listening()
    me.ears.close()
    Pending(me.ears.run, "ears").get()
    assert me.heard == []
