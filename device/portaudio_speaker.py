"""A real speaker through PortAudio."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import DeviceError
from lorgnette.device.portaudio import default_rate_hz, device_key, load_portaudio, translated
from lorgnette.device.resample import Resampler
from lorgnette.device.sound import AudioChunk
from lorgnette.device.speaker import Listener
from lorgnette.device.volume import VolumeRamp

_STUCK_LIMIT_S = 3.0


class PortAudioSpeaker:
    """The default speaker, or the one with the number or name `device`. It opens in the context, so that a missing one
    is known before anything is computed for it; between two chunks that come late it plays silence. `ahead_s` is how
    much sound may wait to be played before `play` waits too: little where it may be interrupted, and then the device
    is asked for its lowest latency."""

    def __init__(self, device: str = "", ahead_s: float = 5.0) -> None:
        self.volume = 1.0
        self._device = device_key(device)
        self._ahead_s = ahead_s
        self._rate_hz = 0
        self._stream: Any = None
        self._resampler: Resampler | None = None
        self._waiting = np.zeros(0, np.float32)
        self._device_s = 0.0  # between being handed to the device and being heard
        self._silent_s = 0.0  # since the last sample of sound was handed to the device
        self._moved = threading.Condition()
        self._listener: Listener = lambda chunk: None

    def play(self, chunk: AudioChunk) -> None:
        """As Speaker.play; blocks while more than `ahead_s` seconds of sound are waiting."""
        if self._resampler is None:
            self._resampler = Resampler(self._rate_hz)
        self._append(self._resampler.push(chunk.samples, chunk.rate_hz))

    @property
    def waiting_s(self) -> float:
        """As LiveSpeaker.waiting_s, with what the device itself has buffered."""
        with self._moved:
            own_s = len(self._waiting) / self._rate_hz if self._rate_hz else 0.0
        return own_s + self._device_s if own_s or self._silent_s < self._device_s else 0.0

    def clear(self) -> float:
        """As LiveSpeaker.clear; what the device has taken already is heard."""
        with self._moved:
            dropped, self._waiting = self._waiting, self._waiting[:0]
            self._moved.notify_all()
        return len(dropped) / self._rate_hz if self._rate_hz else 0.0

    def monitor(self, listener: Listener) -> None:
        """As LiveSpeaker.monitor."""
        self._listener = listener

    def __enter__(self) -> Self:
        library = load_portaudio()
        self._rate_hz = default_rate_hz(library, "output", self._device)
        self._ramp, self._resampler = VolumeRamp(self._rate_hz), None
        with translated("speaker"):
            self._stream = library.OutputStream(
                samplerate=self._rate_hz,
                device=self._device,
                channels=1,
                dtype="float32",
                latency="high" if self._ahead_s >= 1 else "low",
                callback=self._fill,
            )
            self._stream.start()
            self._device_s = float(self._stream.latency)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._resampler is not None:
                    self._append(self._resampler.flush())
                self._wait_until(lambda: len(self._waiting) == 0)
                with translated("speaker"):
                    self._stream.stop()  # waits until the device's own buffer was heard
        finally:
            with translated("speaker"):
                self._stream.close()  # at once, whatever still waits
            self._waiting, self._device_s = self._waiting[:0], 0.0

    def _fill(self, played: npt.NDArray[np.float32], frames: int, _time: Any, _status: Any) -> None:
        """Called in PortAudio's thread for the next `frames` samples."""
        with self._moved:
            ready, self._waiting = self._waiting[:frames], self._waiting[frames:]
            self._silent_s = 0.0 if len(ready) else self._silent_s + frames / self._rate_hz
            self._moved.notify_all()
        played[: len(ready), 0] = self._ramp.apply(ready, self.volume)
        played[len(ready) :] = 0
        self._listener(AudioChunk(played[:, 0].copy(), self._rate_hz))

    def _append(self, samples: npt.NDArray[np.float32]) -> None:
        with self._moved:
            self._waiting = np.concatenate([self._waiting, samples])
        self._wait_until(lambda: len(self._waiting) <= self._ahead_s * self._rate_hz)

    def _wait_until(self, done: Callable[[], bool]) -> None:
        with self._moved:
            while not done():
                if not self._moved.wait(_STUCK_LIMIT_S):  # a device that was pulled out asks for no more
                    raise DeviceError("the speaker stopped playing", "was it unplugged?")
