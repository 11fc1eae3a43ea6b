"""What goes wrong with glasses, on purpose: wrappers of the device seams that drop, delay and disconnect.

They know nothing of the simulator's page: scenarios use them around any devices. The same seed makes the same faults.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import numpy as np

from lorgnette.device.camera import Camera, StaleFrame, fresh
from lorgnette.device.errors import DeviceError
from lorgnette.device.frame import Frame
from lorgnette.device.microphone import Microphone
from lorgnette.device.sound import AudioChunk
from lorgnette.device.speaker import Listener, LiveSpeaker

_STALL_LIMIT_S = 3.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong now. `drop` is the share of chunks of sound and of pictures that are lost, `delay_s` and a random
    part of `jitter_s` how late the others come, `frame_rate_hz` how often there is a new picture (0: as the camera
    has them). The others are switches."""

    drop: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    frame_rate_hz: float = 0.0
    camera_lost: bool = False
    microphone_lost: bool = False
    microphone_denied: bool = False
    speaker_stalled: bool = False


class FaultSwitches:
    """The faults of one pair of glasses, changed while they are worn."""

    def __init__(self, now: Faults | None = None) -> None:
        self.now = now or Faults()


class FaultyMicrophone:
    """A lost chunk is heard as silence, as a receiver fills the gap; a late one keeps the time at which it was heard.
    Lateness is counted in chunks, so that it is the same at any pace of the clock."""

    def __init__(self, microphone: Microphone, switches: FaultSwitches, seed: int = 0) -> None:
        self._microphone = microphone
        self._switches = switches
        self._random = random.Random(seed)

    def chunks(self) -> Iterator[AudioChunk]:
        """As Microphone.chunks."""
        self._check()
        late: deque[AudioChunk] = deque()
        with closing(cast(Any, self._microphone.chunks())) as chunks:
            for chunk in chunks:
                self._check()
                faults = self._switches.now
                lost = faults.drop > 0 and self._random.random() < faults.drop
                silence = AudioChunk(np.zeros_like(chunk.samples), chunk.rate_hz, chunk.timestamp_ns)
                late.append(silence if lost else chunk)
                while late and len(late) > self._lateness_s(faults) / chunk.duration_s:
                    yield late.popleft()

    def _check(self) -> None:
        if self._switches.now.microphone_denied:
            raise DeviceError("the microphone may not be used", "allow it in the settings of the glasses")
        if self._switches.now.microphone_lost:
            raise DeviceError("the microphone stopped sending sound", "was it unplugged?")

    def _lateness_s(self, faults: Faults) -> float:
        jitter_s = faults.jitter_s * self._random.random() if faults.jitter_s else 0.0
        return faults.delay_s + jitter_s


class FaultyCamera:
    """Where a picture is lost, or it is too early for a new one, the one before is all there is. `wait` is how the
    time passes until a late one comes."""

    def __init__(
        self, camera: Camera, switches: FaultSwitches, seed: int = 0, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self._camera = camera
        self._switches = switches
        self._random = random.Random(seed)
        self._wait = wait
        self._last: Frame | None = None
        self._taken_s = 0.0

    def latest(self, max_age_s: float) -> Frame:
        """As Camera.latest."""
        faults = self._switches.now
        if faults.camera_lost:
            self.close()
            raise DeviceError("the camera stopped sending pictures", "was it unplugged?")
        if not self._is_too_early(faults):
            frame = self._camera.latest(max_age_s)
            if not faults.drop or self._random.random() >= faults.drop:
                self._last, self._taken_s = frame, time.monotonic()
        lateness_s = faults.delay_s + (faults.jitter_s * self._random.random() if faults.jitter_s else 0.0)
        if lateness_s:
            self._wait(lateness_s)
        if self._last is None:
            raise StaleFrame("no picture has arrived", "the connection to the camera loses pictures")
        return fresh(self._last, max_age_s)

    def close(self) -> None:
        """As Camera.close."""
        self._last = None
        self._camera.close()

    def __enter__(self) -> Self:
        self._camera.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.__exit__(kind, error, trace)

    def _is_too_early(self, faults: Faults) -> bool:
        if self._last is None or not faults.frame_rate_hz:
            return False
        return time.monotonic() - self._taken_s < 1 / faults.frame_rate_hz


class FaultySpeaker:
    """While it stalls nothing more reaches the loudspeaker; what lies ahead in it is still heard. After three seconds
    it counts as gone, as with a real one. The other faults do not reach it: sound to the glasses is sent again."""

    def __init__(self, speaker: LiveSpeaker, switches: FaultSwitches) -> None:
        self._speaker = speaker
        self._switches = switches
        self._held_s = 0.0
        self._cleared = 0

    @property
    def volume(self) -> float:
        """As LiveSpeaker.volume."""
        return self._speaker.volume

    @volume.setter
    def volume(self, volume: float) -> None:
        self._speaker.volume = volume

    @property
    def waiting_s(self) -> float:
        """As LiveSpeaker.waiting_s."""
        return self._speaker.waiting_s + self._held_s

    def play(self, chunk: AudioChunk) -> None:
        """As Speaker.play."""
        began, cleared = time.monotonic(), self._cleared
        try:
            while self._switches.now.speaker_stalled:
                self._held_s = chunk.duration_s
                if self._cleared != cleared:
                    return
                if time.monotonic() - began > _STALL_LIMIT_S:
                    raise DeviceError("the speaker stopped playing", "was it unplugged?")
                time.sleep(_POLL_S)
        finally:
            self._held_s = 0.0
        self._speaker.play(chunk)

    def clear(self) -> float:
        """As LiveSpeaker.clear."""
        self._cleared += 1
        held_s, self._held_s = self._held_s, 0.0
        return self._speaker.clear() + held_s

    def monitor(self, listener: Listener) -> None:
        """As LiveSpeaker.monitor."""
        self._speaker.monitor(listener)

    def __enter__(self) -> Self:
        self._speaker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._speaker.__exit__(kind, error, trace)
