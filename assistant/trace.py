"""What a turn did and when: one record each, kept as JSON lines. No words and no pixels are in it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import platformdirs

from lorgnette.device.errors import LorgnetteError

_LARGEST_BYTES = 4 * 2**20


class TraceError(LorgnetteError):
    """The traces cannot be written or read."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of a turn, in monotonic nanoseconds."""

    name: str
    start_ns: int
    end_ns: int

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class TurnTrace:
    """One turn. Fields that end in `_at_ns` are monotonic times, other `_ns` are durations; None: it did not happen.

    `asked_at_ns` is the end of the question: of the wearer's speech, or when it was handed over. `capture_at_ns` is
    when the picture was taken (None for a file). `outcome` is "answered", "cancelled" or "failed".
    `confidence` is the calibrated one, between 0 and 1.

    A live turn has more: when it was woken and speech began, its last partial transcript, the soft end at which the
    answer was begun and the end of turn at which it was allowed to be heard, how often that was revised, and when the
    loudspeaker got its first sample (`played_at_ns`) and fell silent. `frame_age_s` is the picture's age at the end of
    the question (negative where it was taken later).
    """

    began: str
    engine: str
    outcome: str
    spoken: bool
    asked_at_ns: int
    capture_at_ns: int | None = None
    transcribe_start_at_ns: int | None = None
    transcript_at_ns: int | None = None
    look_start_at_ns: int | None = None
    look_end_at_ns: int | None = None
    encode_ns: int | None = None
    prefill_ns: int | None = None
    picture_cached: bool | None = None
    answer_start_at_ns: int | None = None
    first_token_at_ns: int | None = None
    last_token_at_ns: int | None = None
    tokens: int = 0
    mean_log_probability: float | None = None
    confidence: float | None = None
    first_clause_at_ns: int | None = None
    first_audio_at_ns: int | None = None
    last_audio_at_ns: int | None = None
    audio_s: float = 0.0
    wake_at_ns: int | None = None
    speech_start_at_ns: int | None = None
    last_partial_at_ns: int | None = None
    soft_end_at_ns: int | None = None
    end_of_turn_at_ns: int | None = None
    revisions: int = 0
    played_at_ns: int | None = None
    playback_end_at_ns: int | None = None

    @property
    def first_audio_s(self) -> float | None:
        """From the end of the question to the first sample of the answer: made, or in a live turn played."""
        first_ns = self.played_at_ns or self.first_audio_at_ns
        return None if first_ns is None else (first_ns - self.asked_at_ns) / 1e9

    @property
    def frame_age_s(self) -> float | None:
        return None if self.capture_at_ns is None else (self.asked_at_ns - self.capture_at_ns) / 1e9

    @property
    def tokens_per_s(self) -> float | None:
        """Of decoding: the first token, which waits for the question's prefill, does not count."""
        if self.tokens < 2 or self.first_token_at_ns is None or self.last_token_at_ns is None:
            return None
        return (self.tokens - 1) * 1e9 / max(1, self.last_token_at_ns - self.first_token_at_ns)

    def stages(self) -> list[Stage]:
        """The turn as a waterfall, in the order in which the stages began."""
        bounds = [
            ("speech", self.speech_start_at_ns, self.asked_at_ns if self.speech_start_at_ns else None),
            ("wait for the end", self.asked_at_ns if self.end_of_turn_at_ns else None, self.end_of_turn_at_ns),
            ("listen", self.transcribe_start_at_ns, self.transcript_at_ns),
            ("look", self.look_start_at_ns, self.look_end_at_ns),
            ("read the question", self.answer_start_at_ns, self.first_token_at_ns),
            ("answer", self.first_token_at_ns, self.last_token_at_ns),
            ("first words to sound", self.first_clause_at_ns, self.first_audio_at_ns),
            ("speak", self.first_audio_at_ns, self.last_audio_at_ns),
            ("play", self.played_at_ns, self.playback_end_at_ns),
        ]
        stages = [Stage(name, start, end) for name, start, end in bounds if start is not None and end is not None]
        return sorted(stages, key=lambda stage: stage.start_ns)


class TraceLog:
    """The file of traces, `folder`/turns.jsonl. At 4 MiB it becomes turns.1.jsonl and a new one begins."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or platformdirs.user_state_path("lorgnette", appauthor=False)
        self.path = folder / "turns.jsonl"

    def append(self, trace: TurnTrace) -> None:
        """Add one record. Raises TraceError where it cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and self.path.stat().st_size > _LARGEST_BYTES:
                self.path.replace(self.path.with_suffix(".1.jsonl"))
            with self.path.open("a", encoding="utf-8") as stream:
                _write(stream, trace)
        except OSError as error:
            raise TraceError(
                f"cannot write the trace {self.path}: {error.strerror}", "--set trace.enabled=false goes without"
            ) from error

    def last(self, count: int) -> list[TurnTrace]:
        """The `count` most recent records of the current file. Raises TraceError where a line is no trace."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
            return [TurnTrace(**json.loads(line)) for line in lines[-count:]]
        except (OSError, ValueError, TypeError) as error:
            raise TraceError(f"cannot read the traces in {self.path}: {error}", "delete the file") from error


def wall_clock() -> str:
    """Now, as `TurnTrace.began` has it: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(stream: TextIO, trace: TurnTrace) -> None:
    stream.write(json.dumps(dataclasses.asdict(trace)) + "\n")
