"""A room made of files: a microphone that hears whoever speaks in it, and a loudspeaker that it may hear as well.

For scenarios, demos and benchmarks: real implementations of the seams, on one clock. Room time starts at 0 when the
room is made and runs `pace` times as fast as the clock on the wall, whether anybody listens or not.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.microphone import CHUNK_SAMPLES
from lorgnette.device.resample import Resampler, resample
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.device.speaker import Listener
from lorgnette.device.volume import VolumeRamp

Samples = npt.NDArray[np.float32]

_TICK_S = CHUNK_SAMPLES / SPEECH_RATE_HZ
_HEARD_LATE_CHUNKS = 128
"""A listener that is further behind than that (4 s) misses the oldest sound, as with a real device."""


class Room:
    """Everything in it is at 16 kHz. The microphone hears those who `say` something, `noise` (looped), and the
    loudspeaker at `echo_gain` after `echo_delay_s`; with `echo_tail_s` it reverberates, and is 60 dB quieter after that
    time. Of either side the last `kept_s` seconds are remembered."""

    def __init__(
        self,
        gate: CaptureGate,
        pace: float = 1.0,
        echo_gain: float = 0.0,
        echo_delay_s: float = 0.05,
        echo_tail_s: float = 0.0,
        noise: AudioChunk | None = None,
        kept_s: float = 600.0,
    ) -> None:
        self.pace = pace
        self._start_ns = time.monotonic_ns()
        self._ticks = 0
        self._lock = threading.RLock()
        self._response = echo_gain * room_response(echo_tail_s, np.random.default_rng(0))
        self._reverberating = np.zeros(len(self._response) - 1, np.float32)
        self._echo: deque[Samples] = deque([_silence()] * max(1, round(echo_delay_s / _TICK_S)))
        self._noise = resample(noise.samples, noise.rate_hz, SPEECH_RATE_HZ) if noise else _silence()
        self._voices: list[tuple[int, Samples]] = []
        self._plugged = True
        self._microphone_sides: deque[Samples] = deque(maxlen=round(kept_s / _TICK_S))
        self._speaker_sides: deque[Samples] = deque(maxlen=round(kept_s / _TICK_S))
        self.microphone = RoomMicrophone(self, gate)
        self.speaker = RoomSpeaker(self)

    @property
    def now_s(self) -> float:
        """Room time."""
        return (time.monotonic_ns() - self._start_ns) / 1e9 * self.pace

    def at_ns(self, room_s: float) -> int:
        """The monotonic time at which the room's clock shows `room_s`."""
        return self._start_ns + round(room_s / self.pace * 1e9)

    def sleep(self, room_s: float) -> None:
        """Wait for `room_s` seconds of room time."""
        time.sleep(max(0.0, room_s) / self.pace)

    def say(self, sound: AudioChunk, level: float = 1.0, delay_s: float = 0.0) -> tuple[float, float]:
        """Let somebody speak, `delay_s` from now; the room times of the first and after the last sample."""
        samples = resample(sound.samples, sound.rate_hz, SPEECH_RATE_HZ) * np.float32(level)
        with self._lock:
            self.advance()
            start = self._ticks * CHUNK_SAMPLES + round(delay_s * SPEECH_RATE_HZ)
            self._voices.append((start, samples))
        return start / SPEECH_RATE_HZ, (start + len(samples)) / SPEECH_RATE_HZ

    def unplug_microphone(self) -> None:
        """From now on the microphone is gone."""
        self._plugged = False

    def plug_microphone(self) -> None:
        """It is back."""
        self._plugged = True

    def listened(self) -> AudioChunk:
        """What was there for the microphone to hear, as far back as is remembered."""
        with self._lock:
            self.advance()
            return _joined(self._microphone_sides)

    def heard(self) -> AudioChunk:
        """What the loudspeaker played, silence included: as long as `listened`, on the same time line."""
        with self._lock:
            self.advance()
            return _joined(self._speaker_sides)

    def advance(self) -> None:
        """Bring the room up to the clock: the devices call this whenever they are used."""
        with self._lock:
            while (self._ticks + 1) * _TICK_S <= self.now_s:
                self._tick()

    @property
    def plugged(self) -> bool:
        return self._plugged

    def _tick(self) -> None:
        played = self.speaker.take(CHUNK_SAMPLES)
        self._echo.append(played)
        mixed = self._spoken() + self._noisy() + self._echoed()
        mixed = np.clip(mixed, -1, 1, dtype=np.float32)
        self._speaker_sides.append(played)
        self._microphone_sides.append(mixed)
        started_ns = self.at_ns(self._ticks * _TICK_S)
        self._ticks += 1
        self.microphone.deliver(AudioChunk(mixed, SPEECH_RATE_HZ, started_ns))

    def _spoken(self) -> Samples:
        at = self._ticks * CHUNK_SAMPLES
        mixed = _silence()
        for start, samples in self._voices:
            first, last = max(start, at), min(start + len(samples), at + CHUNK_SAMPLES)
            if first < last:
                mixed[first - at : last - at] += samples[first - start : last - start]
        self._voices = [voice for voice in self._voices if voice[0] + len(voice[1]) > at + CHUNK_SAMPLES]
        return mixed

    def _echoed(self) -> Samples:
        before = np.concatenate([self._reverberating, self._echo.popleft()])
        self._reverberating = before[CHUNK_SAMPLES:]
        return np.convolve(before, self._response, "valid")

    def _noisy(self) -> Samples:
        at = self._ticks * CHUNK_SAMPLES
        return np.take(self._noise, np.arange(at, at + CHUNK_SAMPLES), mode="wrap")


class RoomMicrophone:
    """The microphone in a room. One listener at a time."""

    def __init__(self, room: Room, gate: CaptureGate) -> None:
        self._room = room
        self._gate = gate
        self._arrived: deque[AudioChunk] | None = None

    def chunks(self) -> Iterator[AudioChunk]:
        """As Microphone.chunks, from now on."""
        with self._gate.capturing("microphone"):
            self._room.advance()
            arrived: deque[AudioChunk] = deque(maxlen=_HEARD_LATE_CHUNKS)
            self._arrived = arrived
            while self._room.plugged:
                self._room.advance()
                while arrived:
                    yield arrived.popleft()
                time.sleep(_TICK_S / self._room.pace / 4)
        raise DeviceError("the microphone stopped sending sound", "was it unplugged?")

    def deliver(self, chunk: AudioChunk) -> None:
        """Called by the room."""
        if self._arrived is not None:
            self._arrived.append(chunk)


class RoomSpeaker:
    """The loudspeaker in a room: a `LiveSpeaker`."""

    def __init__(self, room: Room, ahead_s: float = 0.06) -> None:
        self.volume = 1.0
        self._room = room
        self._ahead_s = ahead_s
        self._resampler: Resampler | None = None
        self._waiting = np.zeros(0, np.float32)
        self._ramp = VolumeRamp(SPEECH_RATE_HZ)
        self._lock = threading.Lock()
        self._listener: Listener = lambda chunk: None

    @property
    def waiting_s(self) -> float:
        """As LiveSpeaker.waiting_s, in room time."""
        self._room.advance()
        return len(self._waiting) / SPEECH_RATE_HZ

    def play(self, chunk: AudioChunk) -> None:
        """As Speaker.play."""
        if self._resampler is None:
            self._resampler = Resampler(SPEECH_RATE_HZ)
        with self._lock:
            self._waiting = np.concatenate([self._waiting, self._resampler.push(chunk.samples, chunk.rate_hz)])
        while self.waiting_s > self._ahead_s:
            time.sleep(_TICK_S / self._room.pace / 4)

    def clear(self) -> float:
        """As LiveSpeaker.clear."""
        self._room.advance()
        with self._lock:
            dropped, self._waiting = self._waiting, self._waiting[:0]
        return len(dropped) / SPEECH_RATE_HZ

    def monitor(self, listener: Listener) -> None:
        """As LiveSpeaker.monitor."""
        self._listener = listener

    def take(self, count: int) -> Samples:
        """Called by the room for the next `count` samples."""
        with self._lock:
            ready, self._waiting = self._waiting[:count], self._waiting[count:]
        played = self._ramp.apply(np.pad(ready, (0, count - len(ready))), self.volume)
        self._listener(AudioChunk(played, SPEECH_RATE_HZ))
        return played

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.clear()
        while self.waiting_s > 0:
            time.sleep(_TICK_S / self._room.pace)


def room_response(tail_s: float, noise: np.random.Generator) -> Samples:
    """An impulse response: the direct sound, then a tail of noise that has lost 60 dB after `tail_s` (Moorer 1979)."""
    response = noise.normal(size=max(1, round(tail_s * SPEECH_RATE_HZ))) * 0.12
    response *= 10 ** (-3 * np.arange(len(response)) / len(response))
    response[0] = 1.0
    return response.astype(np.float32)


def _silence() -> Samples:
    return np.zeros(CHUNK_SAMPLES, np.float32)


def _joined(sides: deque[Samples]) -> AudioChunk:
    return AudioChunk(np.concatenate([_silence()[:0], *sides]), SPEECH_RATE_HZ)
