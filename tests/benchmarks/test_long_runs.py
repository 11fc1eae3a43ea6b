"""What the long runs make of what they saw."""

from __future__ import annotations

import pytest
from self_echo import EchoPath, paths
from soak import memory_mb, slope_mb_an_hour
from soak_wearer import Tally

from lorgnette.assistant.live.events import SpeakingBegan, SpeakingEnded, Trouble


def test_memory_that_grows_is_noticed_and_memory_that_does_not_is_not() -> None:
    hour = [(60.0 * minute, 900.0) for minute in range(61)]
    assert slope_mb_an_hour(hour) == pytest.approx(0.0, abs=0.01)
    assert slope_mb_an_hour([(at_s, size_mb + at_s / 60) for at_s, size_mb in hour]) == pytest.approx(60.0)


def test_what_loading_takes_is_no_growth() -> None:
    assert slope_mb_an_hour([(60.0 * minute, min(900.0, 300.0 + 100 * minute)) for minute in range(61)]) == 0.0


def test_a_short_run_says_nothing_about_memory() -> None:
    assert slope_mb_an_hour([(60.0 * minute, 900.0) for minute in range(9)]) is None
    assert slope_mb_an_hour([]) is None
    assert memory_mb() > 10


def test_only_what_fails_by_itself_is_a_fault() -> None:
    tally = Tally()
    tally.expected.add("camera")
    for event in (
        SpeakingBegan(1),
        SpeakingEnded(1, "Yes.", False),
        Trouble("camera", "gone"),
        Trouble("think", "odd"),
    ):
        tally.watch(event)
    assert (tally.began, tally.ended) == (1, 1)
    assert dict(tally.troubles) == {"camera": 1, "think": 1}
    assert tally.unexpected == ["think: odd"]


def test_echo_paths_on_the_command_line() -> None:
    assert paths("0.1:0.03,0.6:0.12:0.5") == [EchoPath(0.1, 0.03), EchoPath(0.6, 0.12, 0.5)]
