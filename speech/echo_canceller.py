"""Taking the assistant's own voice out of what the microphone hears."""

from __future__ import annotations

from collections import deque
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

MARGIN_SAMPLES = SPEECH_RATE_HZ // 100
"""What was played is used so much later than it came: no more than the shortest way from a loudspeaker to what a
microphone hands over, and enough that a block which comes a little late is not missed."""

_REVIEW_S = 5.0
_SILENT = 1e-4
_LONGEST_JITTER_NS = 100_000_000
_BLOCKS_KEPT = 512
_FULL_SCALE = 32_767


class EchoCanceller(Protocol):
    """Something that knows what the loudspeaker plays, and takes it out of what the microphone hears."""

    def played(self, chunk: AudioChunk) -> None:
        """`chunk`, at any rate, goes to the loudspeaker now, and follows the one before without a gap: while nothing is
        said, it is silence. May be called by any thread, in bursts."""
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
    """Gives a block canceller as much of what was played as of what was heard, with a constant delay between the two.

    Both are counted in samples, so it does not matter when they arrive, nor how busy the machine is: a canceller has to
    learn the room anew whenever that delay changes. Only where the two clocks drift apart is it set right, in silence.
    """

    def __init__(self, blocks: BlockCanceller) -> None:
        self._blocks = blocks
        self._arrived: deque[AudioChunk] = deque(maxlen=_BLOCKS_KEPT)
        self._resampler = Resampler(SPEECH_RATE_HZ)
        self._played_hz = 0
        self._far = _silence(0)
        self._near = _silence(0)
        self._ready = _silence(_PIECE_SAMPLES)
        self._due_ns: int | None = None
        self._least = MARGIN_SAMPLES
        self._since_review_s = 0.0

    def played(self, chunk: AudioChunk) -> None:
        """As EchoCanceller.played."""
        self._arrived.append(chunk)

    def clean(self, chunk: AudioChunk) -> AudioChunk:
        """As EchoCanceller.clean; 8 ms late, and what the block canceller adds."""
        self._take_in()
        if self._due_ns is None or chunk.timestamp_ns - self._due_ns > _LONGEST_JITTER_NS:
            self._begin(len(chunk.samples))
        self._due_ns = chunk.timestamp_ns + round(chunk.duration_s * 1e9)
        self._near = np.concatenate([self._near, chunk.samples])
        self._make_up_for(len(self._near) - len(self._far))
        while len(self._near) >= BLOCK_SAMPLES:
            near, self._near = self._near[:BLOCK_SAMPLES], self._near[BLOCK_SAMPLES:]
            far, self._far = self._far[:BLOCK_SAMPLES], self._far[BLOCK_SAMPLES:]
            self._ready = np.concatenate([self._ready, self._blocks.cancel(near, far)])
        self._keep_in_step(chunk.duration_s)
        size = len(chunk.samples)
        samples, self._ready = self._ready[:size], self._ready[size:]
        late_ns = (_PIECE_SAMPLES + self._blocks.late_samples) * 1_000_000_000 // SPEECH_RATE_HZ
        return replace(chunk, samples=samples, timestamp_ns=max(0, chunk.timestamp_ns - late_ns))

    def _take_in(self) -> None:
        while self._arrived:
            chunk = self._arrived.popleft()
            if chunk.rate_hz != self._played_hz:
                self._resampler, self._played_hz = Resampler(SPEECH_RATE_HZ), chunk.rate_hz
            self._far = np.concatenate([self._far, self._resampler.push(chunk.samples, chunk.rate_hz)])

    def _begin(self, size: int) -> None:
        """The microphone begins, or begins again: what was just played belongs to what is heard now."""
        kept = size + MARGIN_SAMPLES
        self._far = np.concatenate([_silence(kept), self._far])[-kept:]
        self._least, self._since_review_s = MARGIN_SAMPLES, 0.0

    def _make_up_for(self, missing: int) -> None:
        """What was played comes later than it did so far: wait for it, and a little longer, so that it is not missed
        again."""
        if missing > 0:
            self._far = np.concatenate([_silence(missing + MARGIN_SAMPLES), self._far])

    def _keep_in_step(self, passed_s: float) -> None:
        """How much is left waiting of what was played, at least, tells how far the two clocks have drifted apart."""
        self._least = min(self._least, len(self._far))
        self._since_review_s += passed_s
        if self._since_review_s < _REVIEW_S or np.abs(self._far).max(initial=0.0) > _SILENT:
            return
        excess = self._least - MARGIN_SAMPLES
        if abs(excess) > MARGIN_SAMPLES // 2:
            self._far = self._far[excess:] if excess > 0 else np.concatenate([_silence(-excess), self._far])
        self._least, self._since_review_s = len(self._far), 0.0


class WebRtcEchoCanceller(PacedEchoCanceller):
    """WebRTC's third echo canceller (AEC3), from livekit's wheel; it finds the room's delay by itself.

    What comes out is 20 ms late, and 26 ms with noise suppression. That makes the echo 10 dB quieter still, but causes
    no fewer false alarms, and a wearer who speaks over the answer is noticed later; automatic gain brings the echo up
    again (benchmarks/echo.py).
    """

    def __init__(self, noise_suppression: bool = False, automatic_gain: bool = False) -> None:
        super().__init__(_WebRtcBlocks(noise_suppression, automatic_gain))


def _silence(samples: int) -> Samples:
    return np.zeros(samples, np.float32)


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
