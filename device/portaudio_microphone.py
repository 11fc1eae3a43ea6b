"""A real microphone through PortAudio."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.microphone import CHUNK_SAMPLES
from lorgnette.device.portaudio import default_rate_hz, device_key, load_portaudio, translated
from lorgnette.device.resample import Resampler
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ

_SILENT_LIMIT_S = 3.0
_BLOCKS_KEPT = 512
"""Of 10 to 50 ms each: whoever is further behind than that misses the oldest sound, and memory stays bounded."""


_Block = tuple[npt.NDArray[np.float32], int]
"""Samples, and when the last of them was recorded (monotonic ns)."""


class PortAudioMicrophone:
    """The default microphone, or the one with the number or name `device`."""

    def __init__(self, gate: CaptureGate, device: str = "") -> None:
        self._gate = gate
        self._device = device_key(device)

    def chunks(self) -> Iterator[AudioChunk]:
        """As Microphone.chunks. The device's own rate is used and resampled: few of them can do 16 kHz."""
        library = load_portaudio()
        rate_hz = default_rate_hz(library, "input", self._device)
        blocks: queue.Queue[_Block] = queue.Queue(_BLOCKS_KEPT)

        # Called in PortAudio's thread, which takes sound from the device even while this process computes.
        def keep(recorded: npt.NDArray[np.float32], _frames: int, _time: Any, _status: Any) -> None:
            if blocks.full():
                blocks.get_nowait()
            blocks.put_nowait((recorded[:, 0].copy(), time.monotonic_ns()))

        with (
            self._gate.capturing("microphone"),
            translated("microphone"),
            library.InputStream(
                samplerate=rate_hz, device=self._device, channels=1, dtype="float32", latency="low", callback=keep
            ),
        ):
            yield from _cut(_arriving(blocks), rate_hz)


def _arriving(blocks: queue.Queue[_Block]) -> Iterator[_Block]:
    while True:
        try:
            yield blocks.get(timeout=_SILENT_LIMIT_S)
        except queue.Empty:  # a device that was pulled out goes quiet without an error
            raise DeviceError("the microphone stopped sending sound", "was it unplugged?") from None


def _cut(blocks: Iterator[_Block], rate_hz: int) -> Iterator[AudioChunk]:
    """Blocks of any length at `rate_hz` as chunks of 512 samples at 16 kHz."""
    resampler = Resampler(SPEECH_RATE_HZ)
    waiting = np.zeros(0, np.float32)
    for block, arrived_ns in blocks:
        waiting = np.concatenate([waiting, resampler.push(block, rate_hz)])
        while len(waiting) >= CHUNK_SAMPLES:
            began_ns = arrived_ns - len(waiting) * 1_000_000_000 // SPEECH_RATE_HZ
            yield AudioChunk(waiting[:CHUNK_SAMPLES], SPEECH_RATE_HZ, began_ns)
            waiting = waiting[CHUNK_SAMPLES:]
