"""Sound on its way in: bytes of any length become frames, and frames turns."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lorgnette.assistant.realtime.parts import RealtimeParts
from lorgnette.assistant.realtime.refusal import Refusal
from lorgnette.assistant.realtime.settings import Input, SemanticVad, ServerVad
from lorgnette.assistant.realtime.sound_format import Samples, SoundFormat
from lorgnette.device.resample import Resampler
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.speech.turn_taking import Began, Dismissed, Ended, Paused, TurnTaker, TurnTakingSettings
from lorgnette.speech.voice_activity import FRAME_SAMPLES

LONGEST_S = 30.0
"""Of one turn: Whisper hears 30 s at a time."""

_SHORTEST_S = 0.1
_PATIENCE_S = {"low": 4.0, "medium": 2.0, "auto": 2.0, "high": 1.2}
"""After a pause that does not sound like an end. OpenAI allows itself twice as long; ours errs too often for that."""
_NS_A_SAMPLE = 1_000_000_000 // SPEECH_RATE_HZ


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """`sound` is the turn, None where it was a click; `ended_at_ns` the monotonic time at which the speech ended, if
    the sound came in as fast as it was made."""

    at_ms: int
    sound: AudioChunk | None
    ended_at_ns: int


class InputBuffer:
    """What has been appended and not committed. Times count from the first sample of the session (`written_ms`)."""

    def __init__(self, settings: Input, parts: RealtimeParts, written_samples: int = 0) -> None:
        self._format = settings.format.format
        self._taker = _turn_taker(settings.turn_detection, parts)
        self._resampler = Resampler(SPEECH_RATE_HZ)
        self._odd = b""
        self._frame: Samples = np.zeros(0, np.float32)
        self._kept: list[Samples] = []
        self._turn: AudioChunk | None = None
        self._speech_end_ns = 0
        self.written_samples = written_samples

    def append(self, encoded: str) -> Iterator[SpeechStarted | SpeechStopped]:
        """Take in Base64 in the session's format; what it reveals. Raises Refusal."""
        samples = self._resampler.push(self._decoded(encoded), self._format.rate_hz)
        if self._taker is None:
            self._keep(samples)
            self.written_samples += len(samples)
            return
        self._frame = np.concatenate([self._frame, samples])
        while len(self._frame) >= FRAME_SAMPLES:
            frame, self._frame = self._frame[:FRAME_SAMPLES], self._frame[FRAME_SAMPLES:]
            chunk = AudioChunk(frame, SPEECH_RATE_HZ, self.written_samples * _NS_A_SAMPLE)
            self.written_samples += FRAME_SAMPLES
            yield from self._listen(self._taker, chunk)

    def take(self) -> AudioChunk:
        """What is in the buffer, which is empty afterwards. Raises Refusal for less than 100 ms."""
        if self._taker is not None:
            sound = self._taker.sound
        else:
            sound = AudioChunk(np.concatenate([*self._kept, np.zeros(0, np.float32)]), SPEECH_RATE_HZ)
        if sound.duration_s < _SHORTEST_S:
            raise Refusal(
                "input_audio_buffer_commit_empty",
                f"there are {sound.duration_s * 1000:.0f} ms of sound in the buffer, at least 100 ms are needed",
            )
        self.clear()
        return sound

    def clear(self) -> None:
        self._kept, self._odd, self._frame = [], b"", np.zeros(0, np.float32)
        self._resampler = Resampler(SPEECH_RATE_HZ)
        if self._taker is not None:
            self._taker.reset()

    def _keep(self, samples: Samples) -> None:
        if sum(map(len, self._kept)) + len(samples) > LONGEST_S * SPEECH_RATE_HZ:
            raise Refusal("input_audio_buffer_full", f"the buffer holds {LONGEST_S:g} s of sound", "commit or clear it")
        self._kept.append(samples)

    def _listen(self, taker: TurnTaker, chunk: AudioChunk) -> Iterator[SpeechStarted | SpeechStopped]:
        for event in taker.push(chunk):
            match event:
                case Began():
                    yield SpeechStarted(taker.sound.timestamp_ns // 1_000_000)
                case Paused(sound, _, speech_end_ns):
                    self._turn, self._speech_end_ns = sound, speech_end_ns
                case Ended() | Dismissed():
                    now_ns = chunk.timestamp_ns + FRAME_SAMPLES * _NS_A_SAMPLE
                    taker.settle()
                    turn = self._turn if isinstance(event, Ended) else None
                    silence_ns = now_ns - self._speech_end_ns
                    yield SpeechStopped(now_ns // 1_000_000, turn, time.monotonic_ns() - silence_ns)

    def _decoded(self, encoded: str) -> Samples:
        data = self._odd + decode_base64(encoded, "audio")
        whole = len(data) - len(data) % self._format.sample_bytes
        self._odd = data[whole:]
        return self._format.decode(data[:whole])


def decode_sound(encoded: str, form: SoundFormat) -> AudioChunk:
    """A whole recording, at 16 kHz. Raises Refusal."""
    data = decode_base64(encoded, "item.content.audio")
    samples = form.decode(data[: len(data) - len(data) % form.sample_bytes])
    if len(samples) < _SHORTEST_S * form.rate_hz or len(samples) > LONGEST_S * form.rate_hz:
        raise Refusal("invalid_value", f"a sound lasts 0.1 s to {LONGEST_S:g} s", param="item.content.audio")
    resampler = Resampler(SPEECH_RATE_HZ)
    return AudioChunk(np.concatenate([resampler.push(samples, form.rate_hz), resampler.flush()]), SPEECH_RATE_HZ)


def decode_base64(encoded: str, param: str) -> bytes:
    """Raises Refusal."""
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal("invalid_base64", f"{param} is not Base64", param=param) from error


def _turn_taker(wanted: ServerVad | SemanticVad | None, parts: RealtimeParts) -> TurnTaker | None:
    if wanted is None:
        return None
    if isinstance(wanted, ServerVad):
        silence_s = wanted.silence_duration_ms / 1000
        off = min(0.35, wanted.threshold * 0.7)
        settings = TurnTakingSettings(
            soft_end_s=min(TurnTakingSettings().soft_end_s, silence_s),
            patience_s=silence_s,
            longest_s=LONGEST_S,
            on_probability=wanted.threshold,
            off_probability=off,
        )
        return TurnTaker(parts.detector(), None, settings)
    if parts.end_of_turn is None:
        raise Refusal("unsupported", "there is no model here that hears an end of turn", "use server_vad")
    settings = TurnTakingSettings(patience_s=_PATIENCE_S[wanted.eagerness], longest_s=LONGEST_S)
    return TurnTaker(parts.detector(), parts.end_of_turn, settings)
