"""Recordings from files: any common format to mono at one rate, read piece by piece under a time limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.container import InputContainer

from lorgnette.device.errors import InputError
from lorgnette.device.resample import Resampler
from lorgnette.device.sound import AudioChunk
from lorgnette.device.source import open_source, source_name

SPEECH_RATE_HZ = 16_000
"""The rate that speech models listen at."""

MAX_BYTES = 8 * 2**30
_FORMATS_HINT = "give a WAV, FLAC, OGG, MP3, M4A or WebM recording"

# FFmpeg also knows playlists and protocols that open other files and addresses: a recording may do neither.
_OPEN_OPTIONS = {
    "format_whitelist": "wav,w64,aiff,flac,ogg,mp3,aac,mov,mp4,m4a,matroska,webm,caf,au",
    "protocol_whitelist": "",
}


def load_sound(source: str | Path, limit_s: float, rate_hz: int = SPEECH_RATE_HZ) -> AudioChunk:
    """The recording in the file `source`, or on standard input when it is `-`, as one mono chunk at `rate_hz`.

    Channels are averaged. Raises InputError for what is not sound, holds no samples, or lasts longer than `limit_s`
    seconds; a long file is refused by what its header says, and otherwise as soon as the limit is passed.
    """
    name = source_name(source)
    pieces: list[npt.NDArray[np.float32]] = []
    length = 0
    for piece in read_sound(source, rate_hz, limit_s):
        pieces.append(piece.samples)
        length += len(piece.samples)
        if length > limit_s * rate_hz:
            raise _too_long(name, limit_s)
    if length == 0:
        raise InputError(f"{name} holds no sound", _FORMATS_HINT)
    return AudioChunk(np.clip(np.concatenate(pieces), -1.0, 1.0), rate_hz)


def read_sound(
    source: str | Path, rate_hz: int = SPEECH_RATE_HZ, limit_s: float = float("inf")
) -> Iterator[AudioChunk]:
    """The recording in pieces as they are decoded. Only the header is held against `limit_s`."""
    name = source_name(source)
    with open_source(source, "recording", MAX_BYTES) as stream:
        try:
            with av.open(stream, mode="r", options=_OPEN_OPTIONS, metadata_errors="ignore") as container:
                if not container.streams.audio:
                    raise InputError(f"{name} has no sound in it", _FORMATS_HINT)
                if _claimed_s(container) > limit_s + 1:
                    raise _too_long(name, limit_s)
                resampler = Resampler(rate_hz)
                for frame in _frames(container):
                    yield AudioChunk(resampler.push_frame(frame), rate_hz)
                yield AudioChunk(resampler.flush(), rate_hz)
        except (av.error.FFmpegError, OSError, EOFError) as error:
            raise InputError(f"{name} is not a recording that can be read", _FORMATS_HINT) from error


def _frames(container: InputContainer) -> Iterator[AudioFrame]:
    """Decoded frames; one bad packet is skipped, for a scratch should not cost the whole recording."""
    for packet in container.demux(audio=0):
        try:
            yield from (frame for frame in packet.decode() if isinstance(frame, AudioFrame))
        except av.error.InvalidDataError:
            continue


def _claimed_s(container: InputContainer) -> float:
    """How long the header says that it lasts; 0 where it does not say."""
    if container.duration is None:
        return 0.0
    return float(container.duration / av.time_base)


def _too_long(name: str, limit_s: float) -> InputError:
    return InputError(f"{name} is longer than {limit_s:g} seconds", "cut out the part that matters")
