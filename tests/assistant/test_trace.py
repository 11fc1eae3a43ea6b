"""What a live turn adds to a trace."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from lorgnette.assistant.trace import TraceLog, TurnTrace

MS = 1_000_000
LIVE = TurnTrace(
    "2026-01-01T00:00:00+00:00",
    "echo",
    "answered",
    spoken=True,
    asked_at_ns=2_000 * MS,
    capture_at_ns=1_750 * MS,
    wake_at_ns=900 * MS,
    speech_start_at_ns=1_000 * MS,
    last_partial_at_ns=1_900 * MS,
    soft_end_at_ns=2_096 * MS,
    transcribe_start_at_ns=2_097 * MS,
    transcript_at_ns=2_150 * MS,
    end_of_turn_at_ns=2_192 * MS,
    first_clause_at_ns=2_210 * MS,
    first_audio_at_ns=2_250 * MS,
    last_audio_at_ns=2_300 * MS,
    revisions=2,
    played_at_ns=2_260 * MS,
    playback_end_at_ns=4_000 * MS,
)
WRITTEN = TurnTrace("", "echo", "answered", spoken=False, asked_at_ns=2_000 * MS, first_audio_at_ns=2_250 * MS)


def test_in_a_live_turn_the_answer_begins_when_it_is_played() -> None:
    assert LIVE.first_audio_s == pytest.approx(0.26)
    assert WRITTEN.first_audio_s == pytest.approx(0.25)
    assert dataclasses.replace(WRITTEN, first_audio_at_ns=None).first_audio_s is None


def test_the_age_of_the_picture_is_that_at_the_end_of_the_question() -> None:
    assert LIVE.frame_age_s == pytest.approx(0.25)
    assert dataclasses.replace(LIVE, capture_at_ns=2_100 * MS).frame_age_s == pytest.approx(-0.1)
    assert WRITTEN.frame_age_s is None


def test_the_waterfall_of_a_live_turn() -> None:
    stages = {stage.name: stage for stage in LIVE.stages()}
    assert list(stages) == ["speech", "wait for the end", "listen", "first words to sound", "speak", "play"]
    assert stages["speech"].duration_ms == 1000
    assert stages["wait for the end"].duration_ms == 192
    assert stages["play"].duration_ms == 1740
    starts = [stage.start_ns for stage in LIVE.stages()]
    assert starts == sorted(starts)


def test_a_turn_that_is_not_live_has_no_live_stages() -> None:
    names = {stage.name for stage in dataclasses.replace(WRITTEN, first_clause_at_ns=2_100 * MS).stages()}
    assert names == {"first words to sound"}


def test_a_live_trace_is_kept_and_read_again(tmp_path: Path) -> None:
    log = TraceLog(tmp_path)
    log.append(LIVE)
    assert log.last(1) == [LIVE]


def test_a_record_from_before_there_were_live_turns_is_still_read(tmp_path: Path) -> None:
    log = TraceLog(tmp_path)
    old = {"began": "", "engine": "echo", "outcome": "answered", "spoken": True, "asked_at_ns": 1, "tokens": 3}
    log.path.write_text(json.dumps(old) + "\n")
    (read,) = log.last(1)
    assert (read.revisions, read.played_at_ns, read.tokens) == (0, None, 3)
