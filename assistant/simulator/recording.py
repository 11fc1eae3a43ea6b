"""A conversation kept in memory, so that it can be exported: both sides' sound on one time line, pictures, events."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from lorgnette.device.microphone import Microphone
from lorgnette.device.resample import resample
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.device.speaker import Listener, LiveSpeaker
from lorgnette.device.wav import pcm16

KEPT_S = 20 * 60
_MOST_PICTURES = 400
_MOST_EVENTS = 50_000
_JOINED_WITHIN_S = 0.15
"""Pieces whose times say that they lie so close are one stretch of sound: times of arrival are not that exact."""

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class _Piece:
    start_ns: int
    samples: Pcm
    rate_hz: int

    @property
    def end_ns(self) -> int:
        return self.start_ns + len(self.samples) * 1_000_000_000 // self.rate_hz


@dataclass(frozen=True, slots=True)
class Tape:
    """What was recorded. Times are seconds from its beginning. `sound` is 16-bit with shape (n, 2) at 16 kHz: on the
    left what the microphone heard, on the right what the loudspeaker played. Pictures are JPEG, with when they were
    taken; events and commands are messages, with when they were sent."""

    sound: Pcm
    pictures: tuple[tuple[float, bytes], ...]
    events: tuple[tuple[float, Mapping[str, Any]], ...]
    commands: tuple[tuple[float, Mapping[str, Any]], ...]

    @property
    def duration_s(self) -> float:
        return len(self.sound) / SPEECH_RATE_HZ


class Recording:
    """Filled from any thread. The last 20 minutes are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began_ns = time.monotonic_ns()
        self._heard: deque[_Piece] = deque()
        self._played: deque[_Piece] = deque()
        self._levels: deque[tuple[int, float]] = deque([(0, 1.0)], maxlen=_MOST_EVENTS)
        self._pictures: deque[tuple[int, bytes]] = deque(maxlen=_MOST_PICTURES)
        self._events: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=_MOST_EVENTS)
        self._commands: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=_MOST_EVENTS)

    def heard(self, chunk: AudioChunk) -> None:
        """The microphone heard this."""
        with self._lock:
            self._append(self._heard, chunk, chunk.timestamp_ns)

    def played(self, chunk: AudioChunk, start_ns: int) -> None:
        """The loudspeaker will play this from `start_ns` on, or after what came before it."""
        with self._lock:
            self._append(self._played, chunk, max(start_ns, self._played[-1].end_ns if self._played else 0))

    def cleared(self, now_ns: int) -> None:
        """What would have been played after `now_ns` is not."""
        with self._lock:
            while self._played and self._played[-1].end_ns > now_ns:
                last = self._played.pop()
                kept = max(0, (now_ns - last.start_ns) * last.rate_hz // 1_000_000_000)
                if kept:
                    self._played.append(_Piece(last.start_ns, last.samples[:kept], last.rate_hz))
                    return

    def turned_to(self, level: float, now_ns: int) -> None:
        """The loudspeaker's volume changes."""
        with self._lock:
            self._levels.append((now_ns, level))

    def looked_at(self, picture: bytes, taken_ns: int) -> None:
        with self._lock:
            if all(known != taken_ns for known, _ in self._pictures):
                self._pictures.append((taken_ns, picture))

    def said(self, event: Mapping[str, Any], now_ns: int) -> None:
        with self._lock:
            self._events.append((now_ns, event))

    def asked(self, command: Mapping[str, Any], now_ns: int) -> None:
        with self._lock:
            self._commands.append((now_ns, command))

    def tape(self) -> Tape:
        """Everything until now."""
        with self._lock:
            now_ns = time.monotonic_ns()
            origin_ns = max(self._began_ns, now_ns - KEPT_S * 1_000_000_000)
            length = (now_ns - origin_ns) * SPEECH_RATE_HZ // 1_000_000_000
            heard, played = list(self._heard), list(self._played)
            levels = list(self._levels)
            pictures, events, commands = (
                tuple(((at_ns - origin_ns) / 1e9, what) for at_ns, what in kept if at_ns >= origin_ns)
                for kept in (self._pictures, self._events, self._commands)
            )
        sound = np.zeros((length, 2), np.int16)
        _lay(heard, origin_ns, sound[:, 0])
        _lay(played, origin_ns, sound[:, 1])
        _turn(levels, origin_ns, sound[:, 1])
        return Tape(sound, pictures, events, commands)  # type: ignore[arg-type]

    def _append(self, pieces: deque[_Piece], chunk: AudioChunk, start_ns: int) -> None:
        if pieces and abs(start_ns - pieces[-1].end_ns) < _JOINED_WITHIN_S * 1e9:
            start_ns = pieces[-1].end_ns
        pieces.append(_Piece(start_ns, pcm16(chunk.samples), chunk.rate_hz))
        while pieces[0].end_ns < start_ns - KEPT_S * 1_000_000_000:
            pieces.popleft()


class RecordedMicrophone:
    """A microphone of which all that it hears is kept."""

    def __init__(self, microphone: Microphone, recording: Recording) -> None:
        self._microphone = microphone
        self._recording = recording

    def chunks(self) -> Iterator[AudioChunk]:
        """As Microphone.chunks."""
        with closing(cast(Any, self._microphone.chunks())) as chunks:
            for chunk in chunks:
                self._recording.heard(chunk)
                yield chunk


class RecordedSpeaker:
    """A speaker of which all that was really heard is kept."""

    def __init__(self, speaker: LiveSpeaker, recording: Recording) -> None:
        self._speaker = speaker
        self._recording = recording

    @property
    def volume(self) -> float:
        """As LiveSpeaker.volume."""
        return self._speaker.volume

    @volume.setter
    def volume(self, volume: float) -> None:
        self._speaker.volume = volume
        self._recording.turned_to(volume, time.monotonic_ns())

    @property
    def waiting_s(self) -> float:
        """As LiveSpeaker.waiting_s."""
        return self._speaker.waiting_s

    def play(self, chunk: AudioChunk) -> None:
        """As Speaker.play."""
        self._recording.played(chunk, time.monotonic_ns() + round(self._speaker.waiting_s * 1e9))
        self._speaker.play(chunk)

    def clear(self) -> float:
        """As LiveSpeaker.clear."""
        dropped_s = self._speaker.clear()
        self._recording.cleared(time.monotonic_ns())
        return dropped_s

    def monitor(self, listener: Listener) -> None:
        """As LiveSpeaker.monitor."""
        self._speaker.monitor(listener)

    def __enter__(self) -> Self:
        self._speaker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._speaker.__exit__(kind, error, trace)


def _lay(pieces: list[_Piece], origin_ns: int, line: Pcm) -> None:
    """Put each unbroken stretch of `pieces` at its place on `line`."""
    stretch: list[_Piece] = []
    for piece in [*pieces, None]:
        if stretch and (piece is None or piece.start_ns != stretch[-1].end_ns or piece.rate_hz != stretch[0].rate_hz):
            joined = np.concatenate([one.samples for one in stretch])
            if stretch[0].rate_hz != SPEECH_RATE_HZ:
                joined = pcm16(
                    resample(joined.astype(np.float32) / np.float32(32767), stretch[0].rate_hz, SPEECH_RATE_HZ)
                )
            at = (stretch[0].start_ns - origin_ns) * SPEECH_RATE_HZ // 1_000_000_000
            joined, at = joined[max(0, -at) :], max(0, at)
            fits = max(0, min(len(joined), len(line) - at))
            line[at : at + fits] = joined[:fits]
            stretch = []
        if piece is not None:
            stretch.append(piece)


def _turn(levels: list[tuple[int, float]], origin_ns: int, line: Pcm) -> None:
    """Make `line` as loud as the volume was at each moment."""
    starts = [max(0, (at_ns - origin_ns) * SPEECH_RATE_HZ // 1_000_000_000) for at_ns, _ in levels]
    for (_, level), start, end in zip(levels, starts, [*starts[1:], len(line)], strict=True):
        if level != 1.0 and start < end:
            line[start:end] = np.round(line[start:end] * level).astype(np.int16)
