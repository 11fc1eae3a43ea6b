"""The microphone seam, and a microphone that hears a recording."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from lorgnette.device.capture import CaptureGate
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ, read_sound

CHUNK_SAMPLES = 512
"""32 ms at 16 kHz: the frame that the voice detector works on."""


class Microphone(Protocol):
    """Something that hears."""

    def chunks(self) -> Iterator[AudioChunk]:
        """Mono sound at 16 kHz in chunks of 512 samples, from now until the generator is closed.

        The indicator burns exactly as long. Raises DeviceError where there is no microphone or it went away.
        """
        ...


@contextmanager
def listening(microphone: Microphone) -> Iterator[Iterator[AudioChunk]]:
    """The chunks of `microphone`; leaving ends the capture at once, whatever kind of iterator the driver gives."""
    with closing(_closable(microphone.chunks())) as chunks:
        yield chunks


def _closable(chunks: Iterator[AudioChunk]) -> Generator[AudioChunk, None, None]:
    yield from chunks


class WavMicrophone:
    """A microphone that hears a recording, then silence for ever: for demos and tests.

    With `real_time` the chunks come at the pace of the clock, otherwise as fast as they are taken.
    """

    def __init__(self, path: str | Path, gate: CaptureGate, real_time: bool = False) -> None:
        self._path = path
        self._gate = gate
        self._real_time = real_time

    def chunks(self) -> Iterator[AudioChunk]:
        """As Microphone.chunks; raises InputError where the file is not a recording."""
        with self._gate.capturing("microphone"):
            started_ns = time.monotonic_ns()
            for number, chunk in enumerate(self._endless()):
                due_ns = started_ns + number * CHUNK_SAMPLES * 1_000_000_000 // SPEECH_RATE_HZ
                if self._real_time:
                    time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
                yield AudioChunk(chunk, SPEECH_RATE_HZ, due_ns)

    def _endless(self) -> Iterator[np.ndarray[tuple[int], np.dtype[np.float32]]]:
        waiting = np.zeros(0, np.float32)
        for piece in read_sound(self._path):
            waiting = np.concatenate([waiting, piece.samples])
            while len(waiting) >= CHUNK_SAMPLES:
                yield waiting[:CHUNK_SAMPLES]
                waiting = waiting[CHUNK_SAMPLES:]
        yield np.concatenate([waiting, np.zeros(CHUNK_SAMPLES - len(waiting), np.float32)])
        while True:
            yield np.zeros(CHUNK_SAMPLES, np.float32)
