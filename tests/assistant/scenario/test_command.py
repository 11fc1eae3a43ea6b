"""`lorgnette scenario`: what it says, and what it keeps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lorgnette.assistant.command_line.main import main
from lorgnette.assistant.command_line.scenario import keep, record, told
from lorgnette.assistant.live.events import SpeakingBegan
from lorgnette.assistant.scenario.event_log import Happened
from lorgnette.assistant.scenario.judge import StepReport, Verdict
from lorgnette.assistant.scenario.scenario import Scenario, Step, Surroundings, View, Wait
from lorgnette.assistant.scenario.window import Performance, Window
from lorgnette.device.errors import InputError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound

SOUND = AudioChunk(np.full(16_000, 0.1, np.float32), 16_000)
STEPS = (Step(Wait(1)), Step(Wait(2)))
PLAYED = Performance(
    Scenario("mine", "", (), Surroundings(), View(), STEPS),
    (
        Window(STEPS[0], 0.0, 1.0, 1.5, (), ()),
        Window(STEPS[1], 1.5, 3.5, 4.0, (Happened(2.5, SpeakingBegan(7)),), ()),
    ),
    SOUND,
    SOUND,
    (),
)
PASSED = Verdict("mine", (StepReport(1, "", None, None, ()), StepReport(2, "Yes.", 850.0, 900.0, ())), ())
FAILED = Verdict("mine", (StepReport(1, "", None, None, ("nothing was heard",)),), ("the camera captured in the dark",))


def test_a_verdict_in_writing() -> None:
    assert told(PASSED) == "passed  mine  (850 ms)"
    assert told(FAILED).split("\n") == [
        "failed  mine",
        "        step 1: nothing was heard",
        "        the camera captured in the dark",
    ]


def test_a_verdict_for_programs() -> None:
    assert json.loads(record(PASSED))["passed"] is True
    assert json.loads(record(PASSED))["steps"][1]["heard"] == "Yes."
    assert json.loads(record(FAILED))["passed"] is False


def test_what_is_kept(tmp_path: Path) -> None:
    keep(PLAYED, tmp_path / "run")
    lines = (tmp_path / "run" / "mine.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"at_s": 2.5, "step": 2, "type": "speaking_began", "turn": 7}]
    for side in ("listened", "heard"):
        assert load_sound(tmp_path / "run" / f"mine.{side}.wav", 5.0).duration_s == 1.0


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file", "utf-8")
    with pytest.raises(InputError):
        keep(PLAYED, tmp_path / "run")


def test_mistakes_are_found_before_anything_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("steps: [{sing: a song}]", "utf-8")
    assert main(["scenario", str(path)]) == 2
    assert "mine.yaml: step 1: a step does one thing" in capsys.readouterr().err


@pytest.mark.weights
def test_a_scenario_is_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In writing, so that the wearer needs no voice."""
    path = tmp_path / "mine.yaml"
    path.write_text("room: {pace: 2}\nsteps: [{ask: 'Is there a cat?', expect: {answer: ['yes']}}]", "utf-8")
    assert main(["scenario", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"][0]["heard"] == "Yes."
    path.write_text("room: {pace: 2}\nsteps: [{ask: 'Is there a cat?', expect: {answer_not: ['yes']}}]", "utf-8")
    assert main(["scenario", str(path)]) == 1
    assert "'yes' was heard" in capsys.readouterr().out
