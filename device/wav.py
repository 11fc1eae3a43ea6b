"""Writing WAV files so that a reader never sees half of one."""

from __future__ import annotations

import os
import tempfile
import wave
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import InputError
from lorgnette.device.sound import AudioChunk


def write_wav(path: str | Path, chunks: Iterable[AudioChunk]) -> float:
    """Write `chunks`, all of one rate, as 16-bit mono PCM at `path`, and return how many seconds they last.

    The file appears under its name only when it is whole; on any failure an older one is left as it was. Raises
    InputError where it cannot be written or there are no chunks.
    """
    with WavFile(path) as file:
        for chunk in chunks:
            file.append(chunk)
    return file.duration_s


class WavFile:
    """A WAV file that is being written; leaving the context without an error gives it its name."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._writer: wave.Wave_write | None = None
        self._rate_hz = 0
        self._samples = 0
        try:
            descriptor, partial = tempfile.mkstemp(prefix=f".{self._path.name}.", suffix=".part", dir=self._path.parent)
        except OSError as error:
            raise self._failed(error) from error
        self._partial = Path(partial)
        self._file = os.fdopen(descriptor, "wb")

    @property
    def duration_s(self) -> float:
        return self._samples / self._rate_hz if self._rate_hz else 0.0

    def append(self, chunk: AudioChunk) -> None:
        """Add sound. The first chunk decides the rate; raises InputError when the disk is full."""
        try:
            if self._writer is None:
                self._rate_hz = chunk.rate_hz
                self._writer = wave.open(self._file, "wb")  # noqa: SIM115, closed in __exit__
                self._writer.setparams((1, 2, chunk.rate_hz, 0, "NONE", "not compressed"))
            if chunk.rate_hz != self._rate_hz:
                raise ValueError(f"a chunk at {chunk.rate_hz} Hz in a file at {self._rate_hz} Hz")
            self._writer.writeframesraw(pcm16(chunk.samples).tobytes())
            self._samples += len(chunk.samples)
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> WavFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is None and self._writer is not None:
                self._finish(self._writer)
            elif kind is None:
                raise InputError(f"there is no sound to write to {self._path}", "say something")
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            self._discard()

    def _finish(self, writer: wave.Wave_write) -> None:
        writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        # mkstemp makes files for the owner alone; give this one what an ordinary new file gets.
        mask = os.umask(0)
        os.umask(mask)
        self._partial.chmod(0o666 & ~mask)
        self._partial.replace(self._path)

    def _discard(self) -> None:
        with suppress(OSError, ValueError):  # a full disk fails once more on closing; it has been reported
            if self._writer is not None:
                self._writer.close()
        with suppress(OSError):
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> InputError:
        return InputError(f"{self._path} cannot be written: {error.strerror or error}", "choose another place for it")


def pcm16(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Float samples in [-1, 1] as little-endian 16-bit integers; what lies outside is clipped."""
    return np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")


def from_pcm16(data: bytes) -> npt.NDArray[np.float32]:
    """Samples of 16 bits, little-endian, as float32 from -1 to 1."""
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32_768)
