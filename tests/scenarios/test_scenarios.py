"""Whole conversations with the real models: each file beside this one, played in a simulated room and judged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lorgnette.assistant.scenario.judge import Verdict, judge
from lorgnette.assistant.scenario.performance import perform
from lorgnette.assistant.scenario.scenario import Scenario
from lorgnette.assistant.scenario.scenario_file import read_scenario
from lorgnette.assistant.scenario.stage import Stage
from lorgnette.assistant.scenario.wearer import is_installed

FILES = sorted(Path(__file__).parent.glob("*.yaml"))

pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(not is_installed("flite/slt"), reason="the wearer's voice is missing: apt-get install flite"),
]


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


def play(scenario: Scenario, stage: Stage) -> Verdict:
    config = stage.config(scenario.settings)
    parts = stage.parts(config)
    verdict = judge(perform(scenario, parts, config), parts.turns.transcriber())
    assert verdict.breaches == ()
    return verdict


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_conversation_goes_as_written(file: Path, stage: Stage) -> None:
    scenario = read_scenario(file)
    verdict = play(scenario, stage)
    if verdict.failures:
        # The room's clock does not wait for a machine that is busy with something else: once more, more slowly.
        slowly = dataclasses.replace(scenario.surroundings, pace=min(1.0, scenario.surroundings.pace))
        verdict = play(dataclasses.replace(scenario, surroundings=slowly), stage)
    assert verdict.failures == ()


def test_there_are_scenarios() -> None:
    assert len(FILES) >= 25
