"""A real speaker through PortAudio."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import numpy as np

from lorgnette.device.errors import DeviceError
from lorgnette.device.portaudio import default_rate_hz, device_key, load_portaudio, translated
from lorgnette.device.resample import Resampler
from lorgnette.device.sound import AudioChunk

_BLOCK_S = 0.05
_STUCK_LIMIT_S = 2.0
_POLL_S = 0.005


class PortAudioSpeaker:
    """The default speaker, or the one with the number or name `device`. It opens in the context, so that a missing one
    is known before anything is computed for it."""

    def __init__(self, device: str = "") -> None:
        self._device = device_key(device)
        self._rate_hz = 0
        self._stream: Any = None
        self._resampler: Resampler | None = None

    def play(self, chunk: AudioChunk) -> None:
        """As Speaker.play; blocks while the device's buffer is full."""
        if self._resampler is None:
            self._resampler = Resampler(self._rate_hz)
        self._write(self._resampler.push(chunk.samples, chunk.rate_hz))

    def __enter__(self) -> Self:
        library = load_portaudio()
        self._rate_hz = default_rate_hz(library, "output", self._device)
        with translated("speaker"):
            self._stream = library.OutputStream(
                samplerate=self._rate_hz, device=self._device, channels=1, dtype="float32", latency="high"
            )
            self._stream.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with translated("speaker"):
            if kind is None:
                if self._resampler is not None:
                    self._write(self._resampler.flush())
                self._stream.stop()  # waits until the buffer was heard
            else:
                self._stream.abort()
            self._stream.close()

    def _write(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        block = int(_BLOCK_S * self._rate_hz)
        with translated("speaker"):
            for start in range(0, len(samples), block):
                piece = samples[start : start + block]
                self._wait(len(piece))
                self._stream.write(np.ascontiguousarray(piece))

    def _wait(self, samples: int) -> None:
        """PortAudio's blocking write waits for ever on a device that was pulled out: this has a deadline."""
        deadline_s = time.monotonic() + _STUCK_LIMIT_S
        while self._stream.write_available < samples:
            if time.monotonic() > deadline_s:
                raise DeviceError("the speaker stopped taking sound", "was it unplugged?")
            time.sleep(_POLL_S)
