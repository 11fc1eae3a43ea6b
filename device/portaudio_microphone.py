"""A real microphone through PortAudio."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.microphone import CHUNK_SAMPLES
from lorgnette.device.portaudio import default_rate_hz, device_key, load_portaudio, translated
from lorgnette.device.resample import Resampler
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ

_SILENT_LIMIT_S = 2.0
_POLL_S = 0.005


class PortAudioMicrophone:
    """The default microphone, or the one with the number or name `device`."""

    def __init__(self, gate: CaptureGate, device: str = "") -> None:
        self._gate = gate
        self._device = device_key(device)

    def chunks(self) -> Iterator[AudioChunk]:
        """As Microphone.chunks. The device's own rate is used and resampled: few of them can do 16 kHz."""
        library = load_portaudio()
        rate_hz = default_rate_hz(library, "input", self._device)
        block = CHUNK_SAMPLES * rate_hz // SPEECH_RATE_HZ
        with self._gate.capturing("microphone"), translated("microphone"):
            stream = library.InputStream(
                samplerate=rate_hz, device=self._device, channels=1, dtype="float32", latency="low"
            )
            with stream:
                resampler = Resampler(SPEECH_RATE_HZ)
                waiting = np.zeros(0, np.float32)
                while True:
                    self._wait(stream, block)
                    recorded, _overflowed = stream.read(block)
                    waiting = np.concatenate([waiting, resampler.push(recorded[:, 0].copy(), rate_hz)])
                    while len(waiting) >= CHUNK_SAMPLES:
                        began_ns = time.monotonic_ns() - len(waiting) * 1_000_000_000 // SPEECH_RATE_HZ
                        yield AudioChunk(waiting[:CHUNK_SAMPLES], SPEECH_RATE_HZ, began_ns)
                        waiting = waiting[CHUNK_SAMPLES:]

    def _wait(self, stream: object, block: int) -> None:
        """PortAudio's blocking read waits for ever on a device that was pulled out: this has a deadline."""
        deadline_s = time.monotonic() + _SILENT_LIMIT_S
        while stream.read_available < block:  # type: ignore[attr-defined]
            if time.monotonic() > deadline_s:
                raise DeviceError("the microphone stopped sending sound", "was it unplugged?")
            time.sleep(_POLL_S)
