"""Scenarios played without weights: people speak in tones, and an engine repeats what they say."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
from live_box import RED, WHAT, Hummer, LoudnessDetector, ToneTranscriber, tone

from lorgnette.assistant.config import load_config
from lorgnette.assistant.live.assistant import LiveParts
from lorgnette.assistant.live.events import AnswerBegan, SpeechBegan, event_name
from lorgnette.assistant.scenario.event_log import EventLog
from lorgnette.assistant.scenario.judge import Verdict, judge
from lorgnette.assistant.scenario.performance import perform
from lorgnette.assistant.scenario.scenario_file import read_scenario
from lorgnette.assistant.scenario.window import Performance
from lorgnette.assistant.turn import Turns
from lorgnette.device.frame import Frame
from lorgnette.device.wav import write_wav
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.speech.echo_canceller import Headset

HEAD = "settings: {live.start: open, live.partials: false}\nroom: {pace: 8}\nsteps:\n"


@pytest.fixture
def parts() -> LiveParts:
    engine, listener, voice = EchoEngine(), ToneTranscriber(), Hummer()
    return LiveParts(
        Turns(lambda: engine, lambda: listener, lambda: voice), LoudnessDetector(), Headset(), language="en"
    )


def play(folder: Path, parts: LiveParts, steps: str, patience_s: float = 30.0) -> tuple[Performance, Verdict]:
    for name, hertz in (("what", WHAT), ("red", RED)):
        write_wav(folder / f"{name}.wav", [tone(hertz, 0.6)])
    path = folder / "mine.yaml"
    path.write_text(HEAD + steps, "utf-8")
    scenario = read_scenario(path)
    played = perform(scenario, parts, load_config(None, scenario.settings), patience_s)
    return played, judge(played, None)


def test_a_question_is_asked_and_its_answer_judged(tmp_path: Path, parts: LiveParts) -> None:
    played, verdict = play(
        tmp_path,
        parts,
        """
- play: what.wav
  level: 3
  expect:
    said: [you asked what is this]
    understood: [what is this]
    answers: 1
    states: [listening, thinking, speaking]
- play: red.wav
  level: 3
  expect: {said: [you asked is it red], answers: 1, lit: [camera, microphone]}
""",
    )
    assert verdict.failures == ()
    first, second = played.windows
    assert first.begin_s < first.asked_s < first.end_s <= second.begin_s + 0.2
    assert verdict.steps[0].first_sound_ms is not None and verdict.steps[0].first_sound_ms > 0


def test_what_goes_otherwise_is_found(tmp_path: Path, parts: LiveParts) -> None:
    _, verdict = play(
        tmp_path,
        parts,
        """
- ask: What is this?
  expect: {said: [elephant], answers: 1}
- wait: 1
  expect: {absent: true}
""",
        patience_s=1.0,
    )
    assert [failure.partition(" was not said")[0] for failure in verdict.failures] == ["step 1: elephant"]


def test_a_step_may_come_in_the_middle_of_an_answer(tmp_path: Path, parts: LiveParts) -> None:
    played, verdict = play(
        tmp_path,
        parts,
        """
- ask: Tell me a long story about everything that there is to see in here
  expect: {events: [speaking_began]}
- press: true
  send_after: {event: speaking_began, delay_s: 1.0}
  expect: {interrupted: true, said_less_than: 12, silent_after: speaking_ended}
""",
    )
    assert verdict.failures == ()
    began_s = next(one.at_s for one in played.windows[0].happened if event_name(one.event) == "speaking_began")
    assert played.windows[1].begin_s >= began_s + 1.0


def test_devices_fail_and_come_back(tmp_path: Path, parts: LiveParts) -> None:
    _, verdict = play(
        tmp_path,
        parts,
        """
- faults: {camera_lost: true}
- ask: What is this?
  expect: {said: [can't see], events: [trouble part=camera over=false]}
- faults: {}
- ask: What is this?
  expect: {said: [you asked]}
- fold: true
  expect: {states: [asleep], events: [capture_changed source=microphone on=false], lit: []}
- ask: What is this?
  expect: {absent: true}
""",
    )
    assert verdict.failures == ()


def test_an_event_that_never_comes_is_told(tmp_path: Path, parts: LiveParts) -> None:
    steps = "- wait: 0.1\n- ask: What is this?\n  send_after: {event: speaking_began}\n"
    _, verdict = play(tmp_path, parts, steps, patience_s=0.3)
    assert verdict.failures == ("step 2: speaking_began did not come before",)


def test_another_scene_is_seen(tmp_path: Path, parts: LiveParts) -> None:
    played, verdict = play(
        tmp_path,
        parts,
        """
- show: {sign: Exit}
- ask: What is this?
  expect: {said: [the picture is 960 x 540]}
""",
    )
    assert verdict.failures == ()
    assert any(isinstance(one.event, AnswerBegan) for one in played.windows[1].happened)


def test_a_capture_in_the_dark_is_noticed() -> None:
    log = EventLog(lambda: 1.5)
    log.lamp.light("camera")
    seen = Frame(np.zeros((4, 4, 3), np.uint8), time.monotonic_ns())
    log.watch(AnswerBegan(1, 1, seen, 0.0))
    assert log.breaches == []
    log.watch(AnswerBegan(1, 1, dataclasses.replace(seen, timestamp_ns=1), 0.0))
    log.watch(SpeechBegan(1))
    dark = "captured in the dark at 1.50 s"
    assert log.breaches == [f"the camera {dark}", f"the microphone {dark}"]
    assert log.lamp.lit() == ("camera",)
    log.lamp.dark("camera")
    assert log.lamp.lit() == ()
    assert log.lamp.was_lit("camera", seen.timestamp_ns)
    assert not log.lamp.was_lit("camera", time.monotonic_ns())
