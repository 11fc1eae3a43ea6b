"""The judge, on performances that are made up: every kind of expectation is met once and missed once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lorgnette.assistant.live.events import (
    LiveEvent,
    QuestionHeard,
    SpeakingBegan,
    SpeakingEnded,
    State,
    StateChanged,
    Trouble,
)
from lorgnette.assistant.scenario.event_log import Happened
from lorgnette.assistant.scenario.event_pattern import EventPattern
from lorgnette.assistant.scenario.judge import judge, unmet
from lorgnette.assistant.scenario.scenario import Expectation, Scenario, Step, Surroundings, View, Wait
from lorgnette.assistant.scenario.window import Performance, Window
from lorgnette.device.sound import AudioChunk
from lorgnette.speech.transcriber import ScriptedTranscriber

RATE_HZ = 16_000
ANSWERED: tuple[LiveEvent, ...] = (
    StateChanged(State.LISTENING, "speech"),
    QuestionHeard(1, 1, "What animal is this?", "question"),
    StateChanged(State.THINKING, "question"),
    SpeakingBegan(1),
    StateChanged(State.SPEAKING, "answer"),
    SpeakingEnded(1, "A cat.", False),
)
CUT = (*ANSWERED[:-1], SpeakingEnded(1, "A man is holding", True))
TROUBLE = Trouble("camera", "it is gone")


def sound(*spans_s: tuple[float, float]) -> AudioChunk:
    """Ten seconds that are audible in these spans."""
    samples = np.zeros(10 * RATE_HZ, np.float32)
    for begin_s, end_s in spans_s:
        samples[round(begin_s * RATE_HZ) : round(end_s * RATE_HZ)] = 0.3
    return AudioChunk(samples, RATE_HZ)


def performance(
    expect: Expectation,
    events: tuple[LiveEvent, ...] = ANSWERED,
    heard: AudioChunk | None = None,
    lit: tuple[str, ...] = ("microphone",),
    missed: str = "",
) -> Performance:
    """One step from 1 s to 9 s; the wearer had finished at 2 s, and event number n happens at n + 2 s."""
    step = Step(Wait(0), None, expect)
    happened = tuple(Happened(2.0 + number, event) for number, event in enumerate(events))
    window = Window(step, 1.0, 2.0, 9.0, happened, lit, missed)
    scenario = Scenario("made up", "", (), Surroundings(), View(), (step,))
    return Performance(scenario, (window,), sound(), heard or sound((5.0, 7.0)), ())


@pytest.mark.parametrize(
    ("met", "missed"),
    [
        (Expectation(answer=(("a dog", "cat"),)), Expectation(answer=(("dog",), ("cat",)))),
        (Expectation(answer_not=("dog",)), Expectation(answer_not=("A cat",))),
        (Expectation(said=(("cat",),)), Expectation(said=(("ca",),))),
        (Expectation(understood=(("what animal",),)), Expectation(understood=(("animal what",),))),
        (Expectation(answers=1), Expectation(answers=2)),
        (Expectation(answers=1), Expectation(answers=0)),
        (Expectation(interrupted=False), Expectation(interrupted=True)),
        (Expectation(states=("listening", "speaking")), Expectation(states=("speaking", "listening"))),
        (
            Expectation(events=(EventPattern("question_heard", (("kind", "question"),)),)),
            Expectation(events=(EventPattern("question_heard", (("kind", "stop"),)),)),
        ),
        (Expectation(events_not=(EventPattern("trouble"),)), Expectation(events_not=(EventPattern("speaking_began"),))),
        (Expectation(lit=("microphone",)), Expectation(lit=())),
        (Expectation(silent_after=EventPattern("speaking_ended")), Expectation(silent_after=EventPattern("trouble"))),
        (Expectation(), Expectation(absent=True)),
    ],
)
def test_what_is_expected(met: Expectation, missed: Expectation) -> None:
    listener = ScriptedTranscriber(["A cat!"])
    assert judge(performance(met), listener).failures == ()
    assert len(judge(performance(missed), listener).failures) == 1


def test_an_interrupted_answer_may_be_measured() -> None:
    assert judge(performance(Expectation(interrupted=True, said_less_than=5), CUT), None).failures == ()
    assert judge(performance(Expectation(said_less_than=4), CUT), None).failures
    assert judge(performance(Expectation(interrupted=False), CUT), None).failures


def test_sound_after_the_event_that_must_silence_it() -> None:
    expect = Expectation(silent_after=EventPattern("trouble"))
    events = (SpeakingBegan(1), TROUBLE)  # at 2 s and 3 s
    assert judge(performance(expect, events, sound((2.0, 3.05))), None).failures == ()
    late = judge(performance(expect, events, sound((2.0, 3.05), (4.0, 4.5))), None).failures
    assert late == ("step 1: there was sound 1.50 s after trouble",)


def test_nothing_to_be_heard_means_no_sound_and_no_answer() -> None:
    silent = Expectation(absent=True)
    assert judge(performance(silent, (), sound()), None).failures == ()
    assert judge(performance(silent, (), sound((3.0, 3.1))), None).failures
    assert judge(performance(silent, (SpeakingBegan(1),), sound()), None).failures


def test_sound_outside_of_the_step_is_not_its_own() -> None:
    assert judge(performance(Expectation(absent=True), (), sound((0.0, 0.9), (9.1, 9.5))), None).failures == ()


def test_the_first_sound_is_timed_and_only_the_strict_judge_minds() -> None:
    late = performance(Expectation(within_ms=2900))
    assert judge(late, None).steps[0].first_sound_ms == 3000
    assert judge(late, None).failures == ()
    assert judge(late, None, strict=True).failures == (
        "step 1: the first sound came after 3000 ms, not within 2900 ms",
    )
    assert judge(performance(Expectation(within_ms=3000)), None, strict=True).failures == ()


def test_what_a_step_waited_for_in_vain_is_a_failure() -> None:
    assert judge(performance(Expectation(), missed="trouble"), None).failures == (
        "step 1: trouble did not come before",
    )


def test_a_dark_indicator_is_a_failure_whatever_else() -> None:
    played = dataclasses.replace(performance(Expectation()), breaches=("the camera captured in the dark",))
    assert judge(played, None).failures == ("the camera captured in the dark",)


def test_what_has_not_happened_yet_is_waited_for() -> None:
    expect = Expectation(answer=(("cat",),), events=(EventPattern("speaking_began"),), interrupted=False)
    happened = [Happened(0.0, event) for event in ANSWERED]
    assert unmet(expect, happened) == []
    assert unmet(expect, happened[:-1]) == ["0 answers instead of 1"]
    assert len(unmet(expect, happened[:2])) == 2
    assert unmet(Expectation(absent=True, answer_not=("dog",)), []) == []


def test_the_end_of_an_older_answer_is_no_answer() -> None:
    """As after a barge-in: the answer before ends in the step that interrupts it."""
    events = (SpeakingEnded(1, "A man is", True), SpeakingBegan(2))
    expect = Expectation(answers=1)
    assert unmet(expect, [Happened(0.0, event) for event in events])
    assert not unmet(expect, [Happened(0.0, event) for event in (*events, SpeakingEnded(2, "No.", False))])


def test_silences_are_short_for_whoever_transcribes() -> None:
    class Ruler(ScriptedTranscriber):
        def transcribe(self, sound, language=None):  # type: ignore[no-untyped-def]
            self.duration_s = sound.duration_s
            return super().transcribe(sound, language)

    ruler = Ruler(["A cat."])
    judge(performance(Expectation(answer=(("cat",),)), heard=sound((2.0, 3.0), (6.0, 7.0), (7.2, 8.0))), ruler)
    # 1 s, and 2 s with the short gap left in; 0.4 s of silence before, between and after.
    assert ruler.duration_s == pytest.approx(1.0 + 2.0 + 3 * 0.4, abs=0.01)
