"""What `benchmarks/live.py` and `live_pipecat.py` make of what they heard; the conversations are made on demand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lamp import Lamp
from live import SteadyVoice, figures, waterfall, yielding
from live_pipecat import compare
from live_room import HandheldCamera, Turn, loud_span, questions

from lorgnette.assistant.live.events import TurnDone
from lorgnette.assistant.trace import TurnTrace
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import LorgnetteError

MS = 1_000_000


def turn(heard_s: float, cut_off: bool = False) -> Turn:
    """Speech ends at 5 s, noticed 20 ms late; a soft end 100 ms later; all of it is played 60 ms before it is heard."""
    end_ns = 5_000 * MS
    trace = TurnTrace(
        "",
        "",
        "answered",
        spoken=True,
        asked_at_ns=end_ns + 20 * MS,
        capture_at_ns=end_ns - 180 * MS,
        soft_end_at_ns=end_ns + 120 * MS,
        end_of_turn_at_ns=end_ns + 200 * MS,
        played_at_ns=end_ns + round(heard_s * 1000 - 60) * MS,
        tokens=3,
    )
    return Turn(heard_s - 0.06, heard_s, end_ns, cut_off, TurnDone(1, "What?", "That.", trace))


def test_speech_is_what_is_above_40_db_under_the_peak() -> None:
    samples = np.array([0, 0.004, -0.006, 0.5, 0.006, 0.004, 0], np.float32)
    assert loud_span(samples) == (2, 5)
    assert loud_span((samples * 32767).astype(np.int16)) == (2, 5)
    assert loud_span(np.zeros(5, np.float32)) is None


def test_no_two_frames_are_the_same() -> None:
    camera = HandheldCamera(CaptureGate(Lamp()))
    seen: set[bytes] = set()
    for number in (1, 2):
        camera.show(questions(1)[0].example, number)
        frames = [camera.latest(1.0) for _ in range(3)]
        seen |= {frame.pixels.tobytes() for frame in frames}
        assert len({frame.pixels.shape for frame in frames}) == 1
    assert len(seen) == 6


def test_stages_begin_at_the_end_of_speech() -> None:
    stages = waterfall([turn(0.5), turn(0.7), turn(0.8)])
    assert stages["silence until the soft end"] == {"at": 0.0, "took": 120.0}
    assert stages["decision that it was the end"] == {"at": 120.0, "took": 80.0}
    assert stages["loudspeaker"] == {"at": 640.0, "took": 60.0}
    assert "transcription" not in stages


def test_figures_count_what_went_wrong() -> None:
    found = figures([turn(0.4), None, turn(0.6, cut_off=True)])
    assert (found["turns"], found["unanswered"], found["cut_off"]) == (3, 1, 1)
    assert found["heard_s"] == {"p50": 0.5, "p95": 0.59, "worst": 0.6}
    assert found["picture_age_at_the_end_s"]["p50"] == pytest.approx(0.2)
    assert found["seen_before_the_question_ended"] == 2
    assert json.loads(json.dumps(found)) == found
    with pytest.raises(LorgnetteError):
        figures([None])


def test_an_answer_yields_by_getting_lower_and_then_silent() -> None:
    level = np.repeat([1.0, 0.2, 0.0, 0.2, 0.0], [20, 30, 5, 5, 40])  # the first silence is too short
    assert yielding(level, 100.0) == (0.2, 0.6)
    assert yielding(np.ones(100), 100.0) is None
    assert yielding(np.zeros(100), 100.0) is None
    assert yielding(np.repeat([1.0, 0.2], [20, 80]), 100.0) is None


def test_the_steady_voice_has_one_level() -> None:
    (chunk,) = SteadyVoice().synthesize("Yes.")
    levels = np.abs(chunk.samples).reshape(-1, 64).max(axis=1)
    assert levels.min() == pytest.approx(levels.max(), abs=1e-3)


def test_pairs_are_compared_where_both_answered() -> None:
    theirs = [{"heard_s": heard_s, "stages_ms": {"transcript": 300.0}} for heard_s in (1.0, 0.4)]
    found = compare([turn(0.5), turn(0.8), turn(0.5)], [*theirs, {"heard_s": None}])
    assert found["pipecat_to_ours"] == {"median_ratio": 1.25, "ours_first": 1, "pairs": 2}
    assert found["pipecat"]["unanswered"] == 1
    assert found["pipecat"]["stages_at_ms"] == {"transcript": 300.0}
