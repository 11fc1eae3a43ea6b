"""When somebody begins, pauses, goes on and has finished: turn-taking on sound that is as plain as it can be."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorgnette.device.sound import AudioChunk
from lorgnette.speech.turn_taking import (
    Began,
    Dismissed,
    Ended,
    Judged,
    Paused,
    Resumed,
    TurnEvent,
    TurnTaker,
    TurnTakingSettings,
)
from lorgnette.speech.voice_activity import FRAME_S, FRAME_SAMPLES

FRAME_NS = 32_000_000
START_NS = 1_000_000_000
SETTINGS = TurnTakingSettings()
SOFT = round(SETTINGS.soft_end_s / FRAME_S)


class LevelDetector:
    """A frame's first sample is the probability, so that a test can say what the detector thinks."""

    def probability(self, frame: npt.NDArray[np.float32]) -> float:
        return float(frame[0])

    def reset(self) -> None:
        """It remembers nothing."""


class Opinions:
    """An end-of-turn model that gives these, one after the other and the last for ever, and keeps what it was given."""

    def __init__(self, *probabilities: float) -> None:
        self._probabilities = list(probabilities)
        self.sounds: list[AudioChunk] = []

    def probability(self, sound: AudioChunk) -> float:
        self.sounds.append(sound)
        return self._probabilities.pop(0) if len(self._probabilities) > 1 else self._probabilities[0]


class Wearer:
    """Brings frames to a turn taker, and keeps what came of each: (number of the frame, event)."""

    def __init__(self, taker: TurnTaker) -> None:
        self.taker = taker
        self.told: list[tuple[int, TurnEvent]] = []
        self.frames = 0

    def bring(self, frames: int, probability: float) -> list[TurnEvent]:
        """What this many more frames, of which the detector thinks that, lead to."""
        events: list[TurnEvent] = []
        for _ in range(frames):
            # All samples but the first tell the number of the frame.
            samples = np.full(FRAME_SAMPLES, self.frames / 1000, np.float32)
            samples[0] = probability
            came = self.taker.push(AudioChunk(samples, 16_000, START_NS + self.frames * FRAME_NS))
            self.told += [(self.frames, event) for event in came]
            events += came
            self.frames += 1
        return events

    def speak(self, frames: int) -> list[TurnEvent]:
        return self.bring(frames, 0.9)

    def pause(self, frames: int) -> list[TurnEvent]:
        return self.bring(frames, 0.1)


def wearer(*opinions: float, **changes: float) -> Wearer:
    model = Opinions(*opinions) if opinions else None
    return Wearer(TurnTaker(LevelDetector(), model, TurnTakingSettings(**changes)))


def frames_of(sound: AudioChunk) -> list[int]:
    """The numbers of the frames that a sound is made of."""
    return [round(float(value) * 1000) for value in sound.samples[1::FRAME_SAMPLES]]


def kinds(events: Iterable[TurnEvent]) -> list[type]:
    return [type(event) for event in events]


def paused(events: list[TurnEvent]) -> Paused:
    (pause,) = [event for event in events if isinstance(event, Paused)]
    return pause


def test_silence_is_nothing() -> None:
    me = wearer()
    assert me.pause(200) == []
    assert not me.taker.in_turn
    assert me.taker.end_now() == []


def test_speech_pauses_softly_and_ends_after_patience() -> None:
    me = wearer(patience_s=40 * FRAME_S)
    assert me.speak(1) == [Began(reopened=False)]
    assert me.taker.in_turn and me.taker.is_loud
    assert me.speak(19) == []
    assert me.taker.speech_s == pytest.approx(20 * FRAME_S)
    assert me.pause(SOFT - 1) == []
    assert not me.taker.is_loud
    pause = paused(me.pause(1))
    assert pause.revision == 1
    assert me.pause(40 - SOFT - 1) == []
    assert me.taker.in_turn
    assert me.pause(1) == [Ended(1)]
    assert not me.taker.in_turn


def test_the_end_of_speech_is_that_of_the_last_frame_with_speech_in_it() -> None:
    me = wearer()
    me.pause(7)
    me.speak(10)
    assert paused(me.pause(SOFT)).speech_end_ns == START_NS + 17 * FRAME_NS
    me.speak(5)
    me.bring(2, 0.4)  # neither speech nor silence
    assert paused(me.pause(SOFT)).speech_end_ns == START_NS + (22 + SOFT) * FRAME_NS


def test_the_sound_has_what_came_before_and_the_pause_in_it() -> None:
    me = wearer()
    me.pause(40)
    me.speak(10)
    pause = paused(me.pause(SOFT))
    before = round(0.4 / FRAME_S)
    assert frames_of(pause.sound) == list(range(40 - before, 50 + SOFT))
    assert pause.sound.timestamp_ns == START_NS + (40 - before) * FRAME_NS


def test_what_sounds_finished_ends_soon_and_what_does_not_gets_time() -> None:
    finished, unfinished = wearer(0.8), wearer(0.2)
    for me in (finished, unfinished):
        me.speak(20)
        me.pause(round(SETTINGS.ask_s / FRAME_S))
    assert kinds(event for _, event in finished.told) == [Began, Paused, Judged, Ended]
    assert kinds(event for _, event in unfinished.told) == [Began, Paused, Judged]
    rest = round((SETTINGS.patience_s - SETTINGS.ask_s) / FRAME_S)
    assert set(kinds(unfinished.pause(rest - 2))) == {Judged}
    assert Ended(1) in unfinished.pause(3)
    judged = [event for me in (finished, unfinished) for _, event in me.told if isinstance(event, Judged)]
    assert [event.finished_probability for event in judged][:2] == [0.8, 0.2]


def test_what_comes_to_sound_finished_in_the_silence_ends_then() -> None:
    model = Opinions(0.1, 0.2, 0.9)
    me = Wearer(TurnTaker(LevelDetector(), model))
    me.speak(20)
    asked = [round((SETTINGS.ask_s + again * SETTINGS.ask_again_s) / FRAME_S) for again in range(3)]
    assert Ended not in kinds(me.pause(asked[2] - 1))
    assert kinds(me.pause(1)) == [Judged, Ended]
    assert [len(frames_of(sound)) - 20 for sound in model.sounds] == asked


def test_the_model_hears_the_whole_turn_after_each_soft_end() -> None:
    model = Opinions(0.1, 0.9)
    me = Wearer(TurnTaker(LevelDetector(), model))
    me.speak(10)
    me.pause(6)
    me.speak(10)
    me.pause(6)
    assert [frames_of(sound) for sound in model.sounds] == [list(range(15)), list(range(31))]
    assert kinds(event for _, event in me.told) == [Began, Paused, Judged, Resumed, Paused, Judged, Ended]


def test_words_that_ask_for_more_take_an_end_back() -> None:
    me = wearer(0.9)
    me.speak(20)
    me.pause(round(SETTINGS.ask_s / FRAME_S))
    assert not me.taker.in_turn
    me.pause(2)  # until the words are known
    assert me.taker.weigh(unfinished=True)
    assert me.taker.in_turn
    silence = round(SETTINGS.patience_s / FRAME_S) - round(SETTINGS.ask_s / FRAME_S) - 2
    assert me.pause(silence - 1) == []  # and the model is not asked again
    assert me.pause(1) == [Ended(1)]


def test_speech_goes_on_after_an_end_that_was_taken_back() -> None:
    me = wearer(0.9)
    me.speak(20)
    me.pause(round(SETTINGS.ask_s / FRAME_S) + 2)
    assert me.taker.weigh(unfinished=True)
    assert me.speak(5) == [Resumed(1)]
    pause = paused(me.pause(SOFT))
    assert pause.revision == 2
    assert frames_of(pause.sound) == list(range(me.frames))


def test_words_that_ask_for_more_keep_the_model_from_ending_the_turn() -> None:
    me = wearer(0.9)
    me.speak(20)
    me.pause(SOFT)
    assert me.taker.weigh(unfinished=True)
    patience = round(SETTINGS.patience_s / FRAME_S)
    assert me.pause(patience - SOFT - 1) == []
    assert me.pause(1) == [Ended(1)]


def test_words_that_may_be_whole_need_less_patience_until_more_is_said() -> None:
    me = wearer(0.1)
    me.speak(20)
    whole = round(SETTINGS.whole_s / FRAME_S)
    me.pause(SOFT)
    assert not me.taker.weigh(unfinished=False)
    me.pause(whole - SOFT - 1)
    assert me.taker.in_turn
    me.speak(5)
    me.pause(whole)
    assert me.taker.in_turn  # nobody has weighed these words
    assert not me.taker.weigh(unfinished=False)
    assert Ended(2) in me.pause(1)


def test_words_are_not_weighed_once_the_turn_is_settled() -> None:
    me = wearer(0.9)
    me.speak(20)
    me.pause(round(SETTINGS.ask_s / FRAME_S))
    me.taker.settle()
    assert not me.taker.weigh(unfinished=True)
    assert not me.taker.in_turn


def test_going_on_makes_the_draft_stale_and_a_new_revision() -> None:
    me = wearer()
    me.speak(10)
    assert paused(me.pause(10)).revision == 1
    assert me.speak(1) == [Resumed(1)]
    assert me.speak(9) == []
    second = paused(me.pause(SOFT))
    assert second.revision == 2
    assert frames_of(second.sound) == list(range(30 + SOFT))
    assert me.pause(50) == [Ended(2)]


def test_speech_soon_after_the_end_opens_the_turn_again() -> None:
    me = wearer(0.9, 0.9)
    me.speak(10)
    me.pause(6)
    assert me.told[-1][1] == Ended(1)
    me.pause(10)
    assert me.speak(1) == [Began(reopened=True)]
    me.speak(4)
    again = me.pause(6)
    assert again[-1] == Ended(2)
    # The silence between belongs to it, and so does all that was said.
    assert paused(again).revision == 2
    assert frames_of(paused(again).sound) == list(range(31 + SOFT))


@pytest.mark.parametrize("how", ["too late", "settled", "reset"])
def test_a_turn_that_is_not_opened_again(how: str) -> None:
    me = wearer(0.9, 0.9)
    me.speak(10)
    me.pause(6)
    if how == "too late":
        me.pause(round(SETTINGS.reopen_s / FRAME_S) + 1)
    elif how == "settled":
        me.pause(SOFT)
        me.taker.settle()
    else:
        me.taker.reset()
    began = me.frames
    assert me.speak(1) == [Began(reopened=False)]
    me.speak(9)
    pause = paused(me.pause(SOFT))
    assert pause.revision == 1
    numbers = frames_of(pause.sound)
    assert numbers[0] >= 15, "the turn before is not in it"
    assert numbers[-10 - SOFT :] == list(range(began, began + 10 + SOFT))


def test_the_last_moment_in_which_a_turn_may_be_opened_again() -> None:
    me = wearer(0.9)
    me.speak(10)
    me.pause(round(SETTINGS.ask_s / FRAME_S))
    me.pause(round(SETTINGS.reopen_s / FRAME_S) - 1)
    assert me.speak(1) == [Began(reopened=True)]


def test_a_click_is_dismissed_and_costs_no_later_turn_its_beginning() -> None:
    me = wearer()
    me.pause(20)
    me.speak(2)
    assert me.pause(SOFT) == [Dismissed()]
    assert not me.taker.in_turn
    began = me.frames
    me.speak(10)
    pause = paused(me.pause(SOFT))
    assert pause.revision == 1
    assert frames_of(pause.sound) == list(range(began - round(0.4 / FRAME_S), began + 10 + SOFT))


def test_speech_that_never_pauses_is_cut() -> None:
    me = wearer(longest_s=3.2)
    me.speak(99)
    assert kinds(event for _, event in me.told) == [Began]
    events = me.speak(1)
    assert kinds(events) == [Paused, Ended]
    assert frames_of(paused(events).sound) == list(range(100))


def test_a_turn_is_cut_in_its_pause_too() -> None:
    me = wearer(longest_s=3.2)
    me.speak(95)
    assert kinds(me.pause(5)) == [Paused, Ended]


def test_a_murmur_that_is_neither_speech_nor_silence_does_not_last_for_ever() -> None:
    me = wearer(longest_s=3.2)
    me.speak(10)
    me.bring(200, 0.4)
    assert Ended in kinds(event for _, event in me.told)


def test_flicker_between_the_thresholds_is_no_silence_until_it_is_quiet_once() -> None:
    me = wearer()
    me.speak(10)
    assert me.bring(20, 0.4) == []
    me.pause(1)
    assert kinds(me.bring(2, 0.4)) == [Paused]


def test_the_button_ends_a_turn_at_once() -> None:
    me = wearer()
    me.speak(10)
    events = me.taker.end_now()
    assert kinds(events) == [Paused, Ended]
    assert frames_of(paused(events).sound) == list(range(10))
    assert not me.taker.in_turn
    assert me.speak(3) == []  # the rest of the word
    me.pause(1)
    assert me.speak(1) == [Began(reopened=False)]


def test_the_button_in_a_pause_ends_what_was_said() -> None:
    me = wearer()
    me.speak(10)
    me.pause(5)
    assert me.taker.end_now() == [Ended(1)]


def test_the_button_ends_no_click() -> None:
    me = wearer()
    me.speak(2)
    assert me.taker.end_now() == [Dismissed()]
    assert not me.taker.in_turn


def test_after_a_reset_nothing_is_left() -> None:
    me = wearer()
    me.pause(20)
    me.speak(10)
    me.taker.reset()
    assert not me.taker.in_turn
    assert me.taker.speech_s == 0
    assert len(me.taker.sound.samples) == 0
    me.speak(5)
    assert frames_of(paused(me.pause(SOFT)).sound) == list(range(30, 35 + SOFT))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.9]), st.integers(1, 50)), max_size=30), st.data())
def test_events_always_make_sense(stretches: list[tuple[float, int]], data: st.DataObject) -> None:
    """Whatever is heard: turns begin before they pause, pause before they end, and revisions count up."""
    me = wearer()
    state, revision = "silent", 0
    for probability, frames in stretches:
        events = me.bring(frames, probability)
        if data.draw(st.integers(0, 9)) == 0:
            events += me.taker.end_now()
        for event in events:
            match event:
                case Began(reopened):
                    assert state == "silent"
                    revision = revision if reopened else 0
                    state = "speaking"
                case Paused(sound, number, _):
                    assert state == "speaking"
                    assert number == revision + 1
                    numbers = frames_of(sound)
                    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "no gap and no repeat"
                    state, revision = "paused", number
                case Judged(number, _):
                    assert (state, number) == ("paused", revision)
                case Resumed(number):
                    assert (state, number) == ("paused", revision)
                    state = "speaking"
                case Ended(number):
                    assert (state, number) == ("paused", revision)
                    state = "silent"
                case Dismissed():
                    assert state == "speaking"
                    state = "silent"
        assert me.taker.in_turn == (state != "silent")
