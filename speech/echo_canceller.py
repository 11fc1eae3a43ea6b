"""Taking the assistant's own voice out of what the microphone hears."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import DeviceError
from lorgnette.device.resample import Resampler
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ

Samples = npt.NDArray[np.float32]

BLOCK_SAMPLES = SPEECH_RATE_HZ // 100
"""Echo cancellers work on 10 ms at a time."""

_PIECE_SAMPLES = 128
"""The least delay with which every 512 samples bring 512 out: 512 and a block of 160 have 32 in common."""
_LONGEST_WAIT_SAMPLES = 2 * SPEECH_RATE_HZ
_LONGEST_JITTER_NS = 100_000_000
_FULL_SCALE = 32_767


class EchoCanceller(Protocol):
    """Something that knows what the loudspeaker plays, and takes it out of what the microphone hears."""

    def played(self, chunk: AudioChunk) -> None:
        """`chunk`, at any rate, goes to the loudspeaker now. May be called by any thread, in bursts."""
        ...

    def clean(self, chunk: AudioChunk) -> AudioChunk:
        """`chunk`, 512 samples at 16 kHz from the microphone, without the echo: 512 samples, a constant time late.

        The result's timestamp is that of its own first sample.
        """
        ...


class Headset:
    """Passes everything on: the loudspeaker is in the wearer's ear, where no microphone hears it."""

    def played(self, chunk: AudioChunk) -> None:
        pass

    def clean(self, chunk: AudioChunk) -> AudioChunk:
        return chunk


class BlockCanceller(Protocol):
    """An echo canceller proper; it is never called by two threads at once."""

    @property
    def late_samples(self) -> int:
        """How much later, at 16 kHz, a sound comes out than it went in."""
        ...

    def cancel(self, near: Samples, far: Samples) -> Samples:
        """`near`, 160 samples from the microphone, without the echo of `far`, 160 samples that were played."""
        ...


class PacedEchoCanceller:
    """Gives a block canceller as much of what was played as of what was heard, however they arrive.

    What was played waits in a queue that the microphone empties, as the loudspeaker does; where it is empty, silence
    was played. So the canceller sees the two with a constant delay between them through every burst.
    """

    def __init__(self, blocks: BlockCanceller) -> None:
        self._blocks = blocks
        self._lock = threading.Lock()
        self._resampler = Resampler(SPEECH_RATE_HZ)
        self._played_hz = 0
        self._far = np.zeros(0, np.float32)
        self._near = np.zeros(0, np.float32)
        self._ready = np.zeros(_PIECE_SAMPLES, np.float32)
        self._due_ns = 0

    def played(self, chunk: AudioChunk) -> None:
        """As EchoCanceller.played; of what nobody listens to, the last 2 s are kept."""
        with self._lock:
            if chunk.rate_hz != self._played_hz:
                self._resampler = Resampler(SPEECH_RATE_HZ)
                self._played_hz = chunk.rate_hz
            played = self._resampler.push(chunk.samples, chunk.rate_hz)
            self._far = np.concatenate([self._far, played])[-_LONGEST_WAIT_SAMPLES:]

    def clean(self, chunk: AudioChunk) -> AudioChunk:
        """As EchoCanceller.clean; 8 ms late, and what the block canceller adds."""
        with self._lock:
            self._forget_what_was_missed(chunk)
            self._near = np.concatenate([self._near, chunk.samples])
            while len(self._near) >= BLOCK_SAMPLES:
                near, self._near = self._near[:BLOCK_SAMPLES], self._near[BLOCK_SAMPLES:]
                far, self._far = self._far[:BLOCK_SAMPLES], self._far[BLOCK_SAMPLES:]
                cleaned = self._blocks.cancel(near, np.pad(far, (0, BLOCK_SAMPLES - len(far))))
                self._ready = np.concatenate([self._ready, cleaned])
            size = len(chunk.samples)
            samples, self._ready = self._ready[:size], self._ready[size:]
        late_ns = (_PIECE_SAMPLES + self._blocks.late_samples) * 1_000_000_000 // SPEECH_RATE_HZ
        return replace(chunk, samples=samples, timestamp_ns=max(0, chunk.timestamp_ns - late_ns))

    def _forget_what_was_missed(self, chunk: AudioChunk) -> None:
        """A microphone that was closed for a while leaves in the queue what was played to nobody."""
        missed_ns = chunk.timestamp_ns - self._due_ns if self._due_ns else 0
        if missed_ns > _LONGEST_JITTER_NS:
            self._far = self._far[missed_ns * SPEECH_RATE_HZ // 1_000_000_000 :]
        self._due_ns = chunk.timestamp_ns and chunk.timestamp_ns + round(chunk.duration_s * 1e9)


class WebRtcEchoCanceller(PacedEchoCanceller):
    """WebRTC's third echo canceller (AEC3), from livekit's wheel; it finds the room's delay by itself.

    What comes out is 20 ms late, and 26 ms with noise suppression. That makes the echo 10 dB quieter still, but causes
    no fewer false alarms, and a wearer who speaks over the answer is noticed later; automatic gain brings the echo up
    again (benchmarks/echo.py).
    """

    def __init__(self, noise_suppression: bool = False, automatic_gain: bool = False) -> None:
        super().__init__(_WebRtcBlocks(noise_suppression, automatic_gain))


class _WebRtcBlocks:
    def __init__(self, noise_suppression: bool, automatic_gain: bool) -> None:
        try:
            from livekit import rtc
        except (ImportError, OSError) as error:
            raise DeviceError("the echo canceller's library is missing", "pip install livekit") from error
        self._frame = rtc.AudioFrame
        self._module = rtc.AudioProcessingModule(
            echo_cancellation=True,
            noise_suppression=noise_suppression,
            high_pass_filter=True,
            auto_gain_control=automatic_gain,
        )
        # Measured: 11.6 ms of overlapping windows in the canceller, and 6 ms in the noise suppressor.
        self.late_samples = 281 if noise_suppression else 185

    def cancel(self, near: Samples, far: Samples) -> Samples:
        self._process(self._module.process_reverse_stream, far)
        return self._process(self._module.process_stream, near)

    def _process(self, step: Any, samples: Samples) -> Samples:
        sound = (np.clip(samples, -1.0, 1.0) * _FULL_SCALE).astype(np.int16)
        frame = self._frame(bytearray(sound.tobytes()), SPEECH_RATE_HZ, 1, len(sound))
        try:
            step(frame)
        except RuntimeError as error:
            raise DeviceError(
                f"the echo canceller failed: {error}", "use a headset, and say so in the settings"
            ) from error
        return np.frombuffer(frame.data, np.int16).astype(np.float32) / np.float32(_FULL_SCALE)
