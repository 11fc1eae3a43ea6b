"""The speaker seams, and a speaker that plays into a WAV file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from lorgnette.device.sound import AudioChunk
from lorgnette.device.wav import WavFile

Listener = Callable[[AudioChunk], None]


class Speaker(Protocol):
    """Something that is heard. Used as a context: leaving it waits until all has been heard, or, when it is left by an
    error, stops at once."""

    def play(self, chunk: AudioChunk) -> None:
        """Play after what came before; returns when there is room for more. All chunks have one rate.

        Raises DeviceError where there is no speaker or it went away.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LiveSpeaker(Speaker, Protocol):
    """A speaker for a conversation, which is interrupted: little sound lies ahead in it, and that can be taken back."""

    volume: float
    """Loudness of whatever is heard from now on, 0 to 1; changes within a few milliseconds and without a click."""

    @property
    def waiting_s(self) -> float:
        """How much was handed over and is not heard yet."""
        ...

    def clear(self) -> float:
        """Drop what is not heard yet, and return how many seconds of sound that was."""
        ...

    def monitor(self, listener: Listener) -> None:
        """From now on tell `listener` all that is heard, as it leaves for the device and without a gap: silence, too,
        and at its volume. It is called in the device's thread, and has to return at once."""
        ...


class WavSpeaker:
    """A speaker that writes what it plays to a WAV file; the file appears when all has been played."""

    def __init__(self, path: str | Path) -> None:
        self._file = WavFile(path)

    @property
    def duration_s(self) -> float:
        """How much was played so far."""
        return self._file.duration_s

    def play(self, chunk: AudioChunk) -> None:
        """As Speaker.play; raises InputError where the file cannot be written."""
        self._file.append(chunk)

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)
