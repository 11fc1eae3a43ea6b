"""The one file with threads: values in the making, and playback beside computation."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest

from lorgnette.assistant.background import Errand, Pending, Playback, Worker
from lorgnette.device.errors import DeviceError, InputError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.device.speaker import WavSpeaker

CHUNK = AudioChunk(np.full(1600, 0.25, np.float32), 16_000)


class SlowSpeaker:
    """Takes a while for each chunk and remembers how it was left; fails at chunk `fails_at`."""

    def __init__(self, fails_at: int = -1) -> None:
        self.played = 0
        self.left_with: type[BaseException] | None = None
        self._fails_at = fails_at

    def play(self, chunk: AudioChunk) -> None:
        if self.played == self._fails_at:
            raise DeviceError("the speaker went away")
        time.sleep(0.02)
        self.played += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left_with = kind


def test_a_pending_value_arrives() -> None:
    pending = Pending(lambda: 6 * 7, "test")
    assert pending.get() == pending.get() == 42


def test_a_pending_error_is_raised_where_the_value_is_wanted() -> None:
    def fail() -> int:
        raise DeviceError("no camera")

    pending = Pending(fail, "test")
    for _ in range(2):
        with pytest.raises(DeviceError, match="no camera"):
            pending.get()


def test_pending_values_are_made_side_by_side() -> None:
    started = time.monotonic()
    pendings = [Pending(lambda: time.sleep(0.2), "test") for _ in range(5)]
    for pending in pendings:
        pending.get()
    assert time.monotonic() - started < 0.9


def test_everything_is_played_in_order(tmp_path: Path) -> None:
    with Playback(WavSpeaker(tmp_path / "a.wav")) as playback:
        for level in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
            playback.play(AudioChunk(np.full(800, level, np.float32), 16_000))
    sound = load_sound(tmp_path / "a.wav", 10.0)
    assert np.allclose(sound.samples[::800], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], atol=1e-3)
    assert playback.first_ns is not None and playback.end_ns is not None
    assert playback.first_ns <= playback.end_ns


def test_playing_does_not_hold_up_the_player_until_the_mailbox_is_full() -> None:
    speaker = SlowSpeaker()
    with Playback(speaker) as playback:
        started = time.monotonic()
        for _ in range(3):
            playback.play(CHUNK)
        assert time.monotonic() - started < 0.05
    assert speaker.played == 3
    assert speaker.left_with is None


def test_an_error_stops_the_sound_at_once() -> None:
    speaker = SlowSpeaker()
    with pytest.raises(KeyError), Playback(speaker) as playback:
        for _ in range(4):
            playback.play(CHUNK)
        raise KeyError
    assert speaker.played < 4
    assert speaker.left_with is KeyError


@pytest.mark.parametrize("chunks", [1, 20])
def test_a_speaker_that_goes_away_is_reported(chunks: int) -> None:
    speaker = SlowSpeaker(fails_at=0)
    with pytest.raises(DeviceError, match="went away"), Playback(speaker) as playback:
        for _ in range(chunks):
            playback.play(CHUNK)
    assert speaker.left_with is DeviceError


def test_the_end_of_the_program_waits_for_an_errand_and_for_nothing_else() -> None:
    program = """
import sys, time
from lorgnette.assistant.background import Errand, Pending
def work():
    time.sleep(0.3)
    print("done", flush=True)
{kind}(work, "work")
"""
    for kind, expected in (("Errand", "done\n"), ("Pending", "")):
        command = [sys.executable, "-c", program.format(kind=kind)]
        assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == expected


def test_an_errand_that_fails_fails_whoever_comes_for_it() -> None:
    def fail() -> None:
        raise InputError("no")

    with pytest.raises(InputError):
        Errand(fail, "fail").get()


def test_a_worker_works_until_its_work_is_done() -> None:
    errors: list[tuple[str, Exception]] = []
    threads: list[str] = []
    worker = Worker("ear", lambda: threads.append(threading.current_thread().name), lambda: True, note(errors))
    worker.start()
    assert worker.join()
    assert threads == ["lorgnette-ear"]
    assert errors == []


def test_work_that_fails_begins_again() -> None:
    errors: list[tuple[str, Exception]] = []
    attempts: list[int] = []

    def work() -> None:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            raise DeviceError("gone")
        if len(attempts) == 2:
            raise ZeroDivisionError("whatever it is")

    worker = Worker("ear", work, lambda: True, note(errors), retry_s=0.05)
    worker.start()
    assert worker.join()
    assert attempts == [0, 1, 2]
    assert [(name, type(error)) for name, error in errors] == [("ear", DeviceError), ("ear", ZeroDivisionError)]


def test_work_that_is_wanted_no_more_is_not_begun_again() -> None:
    errors: list[tuple[str, Exception]] = []
    wanted = [True]

    def work() -> None:
        raise DeviceError("gone")

    worker = Worker("ear", work, lambda: wanted[0], note(errors), retry_s=3600.0)
    worker.start()
    assert not worker.join(0.2), "it waits to begin again"
    wanted[0] = False
    assert worker.join()
    assert len(errors) == 1


def test_a_worker_that_nobody_wants_does_nothing() -> None:
    attempts: list[int] = []
    worker = Worker("ear", lambda: attempts.append(1), lambda: False, note([]))
    worker.start()
    assert worker.join()
    assert attempts == []


def note(errors: list[tuple[str, Exception]]) -> Callable[[str, Exception], None]:
    return lambda name, error: errors.append((name, error))
