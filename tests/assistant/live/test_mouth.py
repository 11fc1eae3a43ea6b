"""Speaking so that it can be interrupted, in a room whose time line shows what was really heard.

An answer's samples count up, so that a gap, a repeat and a change of volume can be read out of what was heard. Silence
in between does not count: this machine may be busy.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest
from lamp import Lamp
from live_box import BreakableSpeaker, eventually

from lorgnette.assistant.background import Pending
from lorgnette.assistant.live.answer_sound import AnswerSound
from lorgnette.assistant.live.mouth import Heard, Mouth
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk

RATE_HZ = 16_000
SLICE = RATE_HZ // 50
AHEAD = RATE_HZ // 10
"""More than ever lies ahead in the room's loudspeaker."""
FULL = 65_536


def counting(words: int, word_s: float = 0.25, rate_hz: int = RATE_HZ, finished: bool = True) -> AnswerSound:
    """An answer of `words` words, one clause for every four, whose samples are 1, 2, 3 ... parts of 65536."""
    answer, first = AnswerSound(), 1
    for start in range(0, words, 4):
        clause = [f"w{number}" for number in range(start, min(start + 4, words))]
        count = round(len(clause) * word_s * rate_hz)
        answer.add(" ".join(clause), AudioChunk(np.arange(first, first + count, dtype=np.float32) / FULL, rate_hz))
        first += count
    if finished:
        answer.finish()
    return answer


class Speaking:
    """A mouth that runs, and what it reported."""

    def __init__(self, room: Room, speaker: BreakableSpeaker, volume: float) -> None:
        self.room = room
        self.speaker = speaker
        self.began: list[AnswerSound] = []
        self.over: list[tuple[AnswerSound, Heard]] = []
        self.mouth = Mouth(speaker, self.began.append, lambda *over: self.over.append(over), volume)

    def play(self, answer: AnswerSound) -> AnswerSound:
        self.mouth.play(answer)
        return answer

    def wait_until_heard(self, seconds: float) -> None:
        eventually(lambda: self.mouth.heard_s >= seconds or bool(self.over))
        assert not self.over

    def wait_until_over(self) -> Heard:
        eventually(lambda: bool(self.over))
        return self.over[-1][1]

    def numbers(self) -> npt.NDArray[np.int64]:
        """The numbers of the samples that were heard, at full volume."""
        samples = self.room.heard().samples
        return np.round(samples[samples != 0] * FULL).astype(np.int64)


@contextmanager
def speaking(pace: float = 8.0, volume: float = 1.0) -> Iterator[Speaking]:
    room = Room(CaptureGate(Lamp()), pace)
    me = Speaking(room, BreakableSpeaker(room.speaker), volume)
    running = Pending(me.mouth.run, "mouth")
    try:
        yield me
    finally:
        me.mouth.close()
    running.get()


def test_an_answer_is_heard_whole_and_once() -> None:
    with speaking() as me:
        answer = me.play(counting(8))
        assert me.mouth.is_busy
        heard = me.wait_until_over()
        assert not me.mouth.is_busy
        assert np.array_equal(me.numbers(), np.arange(1, answer.length + 1))
    assert me.began == [answer]
    assert me.over == [(answer, heard)]
    assert (heard.said, heard.interrupted) == ("w0 w1 w2 w3 w4 w5 w6 w7", False)
    assert heard.played_at_ns is not None and heard.end_at_ns is not None
    # The whole answer lies between the two, on the room's clock.
    assert (heard.end_at_ns - heard.played_at_ns) / 1e9 * me.room.pace >= answer.length / RATE_HZ - 0.2


def test_clauses_that_come_late_are_heard_in_order() -> None:
    with speaking() as me:
        answer = me.play(AnswerSound())
        made = counting(8)
        answer.add("w0 w1", AudioChunk(made.slice(0, 8000), RATE_HZ))
        eventually(lambda: me.mouth.heard_s >= 0.5)
        assert me.mouth.is_busy, "more may come"
        answer.add("w2 w3", AudioChunk(made.slice(8000, 8000), RATE_HZ))
        answer.finish()
        assert me.wait_until_over().said == "w0 w1 w2 w3"
        assert np.array_equal(me.numbers(), np.arange(1, 16_001))


def test_an_answer_without_sound_is_over_and_never_began() -> None:
    with speaking() as me:
        me.play(counting(0))
        assert me.wait_until_over() == Heard("", None, None, interrupted=False)
        assert me.began == []


def test_ducked_is_quieter_and_back_is_as_loud_as_before() -> None:
    with speaking(volume=0.5) as me:
        answer = AnswerSound()
        answer.add("la", AudioChunk(np.full(4 * RATE_HZ, 0.8, np.float32), RATE_HZ))
        answer.finish()
        me.play(answer)
        me.wait_until_heard(0.5)
        me.mouth.duck(True)
        me.wait_until_heard(1.5)
        me.mouth.duck(False)
        me.wait_until_over()
        samples = me.room.heard().samples
    levels = samples[samples > 0].round(4)
    # First loud, then quiet, then loud; nothing is lost by it.
    assert len(levels) == answer.length
    quiet = np.flatnonzero(np.abs(levels - 0.08) < 1e-3)
    assert np.all(np.diff(quiet) == 1)
    assert quiet[0] > 0 and quiet[-1] < len(levels) - 1
    assert levels[0] == levels[-1] == pytest.approx(0.4, abs=1e-3)


def test_a_held_answer_is_silent_and_goes_on_where_it_was() -> None:
    with speaking() as me:
        answer = me.play(counting(16))
        me.wait_until_heard(0.7)
        me.mouth.hold()
        assert me.mouth.is_held and me.mouth.is_busy
        me.room.sleep(0.5)
        at, heard = me.mouth.heard_s, len(me.numbers())
        me.room.sleep(0.5)
        assert me.mouth.heard_s == at and len(me.numbers()) == heard, "it is silent"
        assert abs(at * RATE_HZ - heard) <= SLICE
        me.mouth.hold()
        me.mouth.go_on()
        assert not me.mouth.is_held
        me.wait_until_over()
        assert_continues(me.numbers(), answer, holds=1)
    assert me.over[0][1].said == answer.said(answer.length)
    assert me.began == [answer]


def test_an_answer_may_be_held_again_and_again() -> None:
    moments = random.Random(0)
    with speaking() as me:
        answer, holds = me.play(counting(24)), 0
        while not me.over:
            me.mouth.hold()
            me.room.sleep(moments.uniform(0.0, 0.1))
            me.mouth.go_on()
            me.room.sleep(moments.uniform(0.0, 0.4))
            holds += 1
        assert_continues(me.numbers(), answer, holds)


def assert_continues(numbers: npt.NDArray[np.int64], answer: AnswerSound, holds: int) -> None:
    """Nothing is missing, nothing is heard twice: but for one slice at each hold."""
    steps = np.diff(numbers)
    seams = steps[steps != 1]
    assert len(seams) <= 2 * holds
    assert np.all(np.abs(seams) <= SLICE + 1), f"jumps of {seams} samples"
    assert numbers[0] == 1 and numbers[-1] == answer.length


def test_held_before_it_was_heard() -> None:
    with speaking() as me:
        answer = me.play(AnswerSound())
        me.mouth.hold()
        sound = counting(4)
        answer.add("w0 w1 w2 w3", AudioChunk(sound.slice(0, sound.length), RATE_HZ))
        answer.finish()
        me.room.sleep(0.5)
        assert len(me.numbers()) == 0 and me.began == []
        me.mouth.go_on()
        assert me.wait_until_over().said == "w0 w1 w2 w3"
        assert np.array_equal(me.numbers(), np.arange(1, sound.length + 1))


@pytest.mark.parametrize("held", [False, True])
def test_stopped_it_has_said_what_was_heard(held: bool) -> None:
    with speaking() as me:
        answer = me.play(counting(24))
        me.wait_until_heard(1.3)
        if held:
            me.mouth.hold()
            me.room.sleep(0.3)
        me.mouth.stop()
        assert not me.mouth.is_busy
        me.room.sleep(0.3)
        numbers = me.numbers()
        (ended,) = me.over
    count = len(numbers)
    assert np.array_equal(numbers, np.arange(1, count + 1))
    assert ended[0] is answer and ended[1].interrupted
    assert ended[1].said in {answer.said(count - SLICE), answer.said(count), answer.said(count + SLICE)}
    assert 5 <= len(ended[1].said.split()) < 24
    assert ended[1].played_at_ns is not None and ended[1].end_at_ns is not None
    assert ended[1].played_at_ns <= ended[1].end_at_ns


def test_stopped_before_it_was_heard_it_has_said_nothing() -> None:
    with speaking() as me:
        me.play(AnswerSound())
        me.mouth.stop()
        assert me.wait_until_over() == Heard("", None, None, interrupted=True)
        me.mouth.stop()
        assert len(me.over) == 1
        assert me.began == []


def test_with_nothing_to_say_nothing_happens() -> None:
    with speaking() as me:
        me.mouth.hold()
        assert not me.mouth.is_held
        me.mouth.go_on()
        me.mouth.duck(True)
        me.mouth.duck(False)
        me.mouth.stop()
        assert me.mouth.heard_s == 0
        me.room.sleep(0.2)
        assert me.over == me.began == [] and len(me.numbers()) == 0


def test_the_next_answer_takes_the_place_of_the_one_before() -> None:
    with speaking() as me:
        first = me.play(counting(24))
        me.wait_until_heard(0.5)
        second = me.play(counting(4))
        eventually(lambda: len(me.over) == 2)
        assert [answer for answer, _ in me.over] == [first, second]
        assert [heard.interrupted for _, heard in me.over] == [True, False]
        assert me.began == [first, second]
        assert np.array_equal(me.numbers()[-second.length :], np.arange(1, second.length + 1))


def test_after_a_stop_the_next_answer_is_at_full_volume() -> None:
    with speaking() as me:
        me.play(counting(24))
        me.wait_until_heard(0.3)
        me.mouth.duck(True)
        me.mouth.hold()
        me.mouth.stop()
        before = len(me.numbers())
        second = me.play(counting(4))
        eventually(lambda: len(me.over) == 2)
        assert me.speaker.volume == 1.0
        assert len(me.numbers()[before:]) >= second.length
        assert me.numbers()[-1] == second.length


def test_the_end_of_the_program_ends_the_answer() -> None:
    with speaking() as me:
        me.play(counting(24))
        me.wait_until_heard(0.3)
    assert me.over[0][1].interrupted
    assert not me.mouth.is_busy


def test_a_speaker_that_fails_ends_the_answer_and_the_mouth_may_run_again() -> None:
    room = Room(CaptureGate(Lamp()), 6.0)
    me = Speaking(room, BreakableSpeaker(room.speaker), 1.0)
    running = Pending(me.mouth.run, "mouth")
    me.play(counting(24))
    me.wait_until_heard(0.3)
    me.speaker.broken = True
    with pytest.raises(DeviceError, match="stopped playing"):
        running.get()
    assert me.over[0][1].interrupted and 0 < len(me.over[0][1].said.split()) < 24
    assert not me.mouth.is_busy
    me.speaker.broken = False
    again = Pending(me.mouth.run, "mouth")
    second = me.play(counting(4))
    eventually(lambda: len(me.over) == 2)
    assert (me.over[1][0], me.over[1][1].interrupted) == (second, False)
    me.mouth.close()
    again.get()


def test_a_voice_with_another_rate_loses_nothing() -> None:
    """The loudspeaker's filter moves samples a little, so that the numbers are no more exact."""
    with speaking() as me:
        answer = me.play(counting(4, rate_hz=22_050))
        me.wait_until_heard(0.4)
        me.mouth.hold()
        me.room.sleep(0.2)
        me.mouth.go_on()
        heard = me.wait_until_over()
        seconds = len(me.numbers()) / RATE_HZ
    assert heard.said == "w0 w1 w2 w3"
    assert seconds == pytest.approx(answer.length / 22_050, abs=0.03)
