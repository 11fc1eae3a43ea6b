"""What may stand in a scenario, and what is said of mistakes in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.scenario.event_pattern import EventPattern
from lorgnette.assistant.scenario.scenario import Break, Do, Pause, Play, Say, SendAfter, Show, Surroundings, View, Wait
from lorgnette.assistant.scenario.scenario_file import ScenarioError, read_scenario
from lorgnette.assistant.simulator.faults import Faults

WHOLE = """
about: Everything that there is.
settings: {live.start: open, live.partials: false, engine.max_new_tokens: 12}
room: {pace: 2, noise: pink, snr_db: 10, echo_gain: 0.3, echo_delay_s: 0.1}
camera: {sign: Exit, spoiled: dark}
voice: flite/rms
steps:
- say: [What is, {pause: 1.2}, 'this?']
  level: 0.5
  expect: {answer: ["yes|yeah", a cat], states: [listening, idle], within_ms: 900, interrupted: false}
- play: cat
  send_after: {event: speaking_began turn=2, delay_s: 0.8}
- play: cough
- show: coffee
- faults: {camera_lost: true, drop: 0.1}
- wait: 3
- press: true
- hold: false
- battery: 0.1
- heat: hot
- ask: What is it?
  expect: {silent_after: speaking_ended, lit: [], events: [trouble part=camera over=true], answers: 2}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, "utf-8")
    return path


def test_everything_that_may_be_in_a_scenario(tmp_path: Path) -> None:
    scenario = read_scenario(written(tmp_path, WHOLE))
    cat, coffee = shipped_examples()["cat"], shipped_examples()["coffee"]
    assert scenario.name == "mine"
    assert scenario.settings == ("live.start=open", "live.partials=false", "engine.max_new_tokens=12")
    assert scenario.surroundings == Surroundings(2, "pink", 10, 0.3, 0.1)
    assert scenario.view == View(None, "Exit", "dark")
    assert [step.action for step in scenario.steps] == [
        Say(("What is", Pause(1.2), "this?"), "flite/rms", 0.5),
        Play(cat.audio),
        Play(None),
        Show(View(coffee.photo)),
        Break(Faults(camera_lost=True, drop=0.1)),
        Wait(3),
        Do("press_button"),
        Do("hold_button", False),
        Do("battery", 0.1),
        Do("heat", "hot"),
        Do("ask", "What is it?"),
    ]
    assert scenario.steps[1].send_after == SendAfter(0.8, EventPattern("speaking_began", (("turn", "2"),)))
    first, last = scenario.steps[0].expect, scenario.steps[-1].expect
    assert first is not None and last is not None
    assert first.answer == (("yes", "yeah"), ("a cat",))
    assert (first.states, first.within_ms, first.interrupted) == (("listening", "idle"), 900, False)
    assert last.silent_after == EventPattern("speaking_ended")
    assert (last.lit, last.answers) == ((), 2)


def test_pictures_may_lie_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(b"")
    scenario = read_scenario(written(tmp_path, "camera: mine.png\nsteps: [{wait: 1}]"))
    assert scenario.view.picture == tmp_path / "mine.png"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("steps: [", "is not YAML"),
        ("- say: hello", "the file: keys and values"),
        ("steps: []", "steps: a list"),
        ("stepps: [{wait: 1}]", "'stepps' is not known"),
        ("steps: [{say: Hello, wait: 1}]", "step 1: a step does one thing"),
        ("steps: [{wait: 1}, {sing: a song}]", "step 2: a step does one thing"),
        ("steps: [{wait: 1, voice: flite/slt}]", "step 1: 'voice' is not known"),
        ("steps: [{wait: long}]", "step 1.wait: a number"),
        ("steps: [{wait: true}]", "step 1.wait: a number"),
        ("steps: [{say: yes}]", "step 1.say: keys and values are needed, not True"),
        ("steps: [{say: [{pause: 1}]}]", "there are no words"),
        ("steps: [{hold: maybe}]", "step 1.hold: true or false"),
        ("steps: [{press: false}]", "step 1.press: only true"),
        ("steps: [{show: nowhere.jpg}]", "step 1.show: there is no"),
        ("steps: [{show: {photo: cat, sign: Exit}}]", "either a photo or a sign"),
        ("steps: [{show: {photo: cat, spoiled: broken}}]", "'broken' is not known"),
        ("steps: [{faults: {camera_lots: true}}]", "'camera_lots' is not known"),
        ("steps: [{faults: {camera_lost: 1}}]", "step 1.faults.camera_lost: true or false"),
        ("steps: [{wait: 1, expect: {answer: [yes]}}]", "step 1.expect.answer: words are needed"),
        ("steps: [{wait: 1, expect: {answers: many}}]", "step 1.expect.answers: a number"),
        ("steps: [{wait: 1, expect: {states: [happy]}}]", "'happy' is no state"),
        ("steps: [{wait: 1, expect: {events: [turn_began]}}]", "no event is called 'turn_began'"),
        ("steps: [{wait: 1, expect: {events: [trouble who=me]}}]", "trouble has no 'who'"),
        ("room: {pace: fast}\nsteps: [{wait: 1}]", "room.pace: a number"),
        ("room: {noise: loud.wav}\nsteps: [{wait: 1}]", "room.noise: there is no"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as error:
        read_scenario(written(tmp_path, text))
    assert complaint in str(error.value)
    assert "mine.yaml" in str(error.value)


def test_nothing_but_data_is_read(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        read_scenario(written(tmp_path, "steps: !!python/object/apply:os.getcwd []"))
