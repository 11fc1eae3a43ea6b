"""Seeing while somebody speaks, and no longer than that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from lamp import Lamp
from live_box import StillCamera, Watch, eventually

from lorgnette.assistant.background import Pending
from lorgnette.assistant.live.events import Looked
from lorgnette.assistant.live.eyes import Eyes
from lorgnette.device.camera import StaleFrame
from lorgnette.device.capture import CaptureGate
from lorgnette.device.errors import DeviceError
from lorgnette.device.frame import Frame
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.llm.engine import Look


class Seeing:
    """Eyes that run, and what is around them."""

    def __init__(self, look: Callable[[Frame], Look], settings: dict[str, float]) -> None:
        self.lamp = Lamp()
        self.camera = StillCamera(CaptureGate(self.lamp), 160, 120)
        self.watch = Watch()
        self.eyes = Eyes(self.camera, look, self.watch, **({"period_s": 0.01} | settings))  # type: ignore[arg-type]

    @property
    def looks(self) -> int:
        return len(self.watch.of(Looked))

    def wait_for_frames(self, count: int) -> None:
        wanted = self.camera.taken + count
        eventually(lambda: self.camera.taken >= wanted)


@contextmanager
def seeing(look: Callable[[Frame], Look] | None = None, **settings: float) -> Iterator[Seeing]:
    me = Seeing(look or EchoEngine().look, settings)
    running = Pending(me.eyes.run, "eyes")
    try:
        yield me
    finally:
        me.eyes.close()
    running.get()
    assert not me.lamp.lit


def photograph(seed: int) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    smooth = cv2.resize(rough, (160, 120), interpolation=cv2.INTER_LINEAR).astype(int)
    return np.clip(smooth + np.random.default_rng(9).integers(-20, 20, (120, 160, 3)), 0, 255).astype(np.uint8)


def test_nothing_is_seen_before_somebody_attends() -> None:
    with seeing() as me:
        assert not me.lamp.lit
        me.eyes.attend()
        me.wait_for_frames(3)
        assert me.lamp.lit == {"camera"}
        assert me.looks >= 1
    assert me.watch.of(Looked)[0].picture.width == 160


def test_resting_no_frame_is_taken_and_the_camera_is_let_go_after_a_while() -> None:
    with seeing(linger_s=0.3) as me:
        me.eyes.attend()
        me.wait_for_frames(3)
        me.eyes.rest()
        eventually(lambda: not me.lamp.lit)
        taken = me.camera.taken
        me.eyes.rest()
        me.eyes.attend()
        me.wait_for_frames(1)
        assert me.camera.taken > taken
        assert me.lamp.lit == {"camera"}


def test_while_it_lingers_the_camera_is_open_but_no_frame_is_taken() -> None:
    with seeing(linger_s=3600.0) as me:
        me.eyes.attend()
        me.wait_for_frames(3)
        me.eyes.rest()
        eventually(lambda: still(lambda: me.camera.taken))
        assert me.lamp.lit == {"camera"}


def still(count: Callable[[], int]) -> bool:
    """Whether it does not change for a while."""
    before = count()
    time.sleep(0.15)
    return count() == before


def test_one_scene_is_looked_at_once() -> None:
    with seeing(max_age_s=100.0) as me:
        me.eyes.attend()
        me.wait_for_frames(8)
        assert me.looks == 1


def test_another_scene_is_looked_at() -> None:
    with seeing(max_age_s=100.0) as me:
        me.camera.pixels = photograph(1)
        me.eyes.attend()
        me.wait_for_frames(3)
        me.camera.pixels = photograph(2)
        seen = me.watch.wait(Looked, 2)
        me.wait_for_frames(3)
        assert me.looks == 2
        assert np.array_equal(seen.picture.pixels, photograph(2))
        assert np.array_equal(me.eyes.picture().pixels, photograph(2))


def test_a_much_sharper_frame_of_the_same_scene_is_looked_at() -> None:
    with seeing(max_age_s=100.0) as me:
        me.camera.pixels = cv2.GaussianBlur(photograph(1), (0, 0), 3)
        me.eyes.attend()
        me.watch.wait(Looked)
        me.camera.pixels = photograph(1)
        me.watch.wait(Looked, 2)
        me.camera.pixels = cv2.GaussianBlur(photograph(1), (0, 0), 3)
        me.wait_for_frames(5)
        assert me.looks == 2
        assert np.array_equal(me.eyes.picture().pixels, photograph(1))


def test_a_look_that_grows_old_is_renewed() -> None:
    with seeing(max_age_s=0.2) as me:
        me.eyes.attend()
        me.watch.wait(Looked, 3)


def test_the_picture_is_the_one_that_was_looked_at() -> None:
    with seeing(max_age_s=100.0) as me:
        me.eyes.attend()
        looked = me.watch.wait(Looked)
        eventually(lambda: me.eyes.picture() is looked.picture)
        me.eyes.rest()
        assert me.eyes.picture() is looked.picture
        assert me.looks == 1


def test_a_picture_is_never_older_than_allowed() -> None:
    with seeing(max_age_s=0.5, linger_s=3600.0) as me:
        me.eyes.attend()
        looked = me.watch.wait(Looked)
        me.eyes.rest()
        eventually(lambda: me.eyes.picture() is not looked.picture)
        me.camera.late_s = 2.0
        with pytest.raises(StaleFrame):
            eventually(lambda: me.eyes.picture() is None)


def test_a_picture_without_anybody_attending_lets_the_camera_go_again() -> None:
    with seeing(linger_s=0.1) as me:
        assert me.eyes.picture().width == 160
        assert me.looks == 1
        eventually(lambda: not me.lamp.lit)


def test_shut_the_camera_is_closed_at_once_and_stays_closed() -> None:
    with seeing() as me:
        me.eyes.attend()
        me.wait_for_frames(2)
        me.eyes.shut(True)
        assert not me.lamp.lit
        taken = me.camera.taken
        me.eyes.attend()
        with pytest.raises(DeviceError, match="shut"):
            me.eyes.picture()
        assert still(lambda: me.camera.taken)
        assert me.camera.taken == taken
        assert not me.lamp.lit
        me.eyes.shut(False)
        assert me.eyes.picture().width == 160


def test_shut_while_it_looks_nothing_of_that_is_shown() -> None:
    box: list[Eyes] = []

    def look(frame: Frame) -> Look:
        if len(box) == 1:
            box.pop().shut(True)
        return Look(0, 0, False)

    with seeing(look, max_age_s=100.0) as me:
        box.append(me.eyes)
        me.eyes.attend()
        me.watch.wait(Looked)
        with pytest.raises(DeviceError, match="shut"):
            me.eyes.picture()
        assert not me.lamp.lit


def test_without_looking_ahead_a_frame_is_taken_when_it_is_asked_for() -> None:
    with seeing(look_ahead=False, max_age_s=100.0) as me:
        me.eyes.attend()
        assert still(lambda: me.camera.taken)
        assert me.camera.taken == 0
        first = me.eyes.picture()
        assert me.eyes.picture() is not first
        me.eyes.look_ahead = True
        me.wait_for_frames(2)


def test_a_camera_that_fails_is_told_and_let_go() -> None:
    me = Seeing(EchoEngine().look, {})
    running = Pending(me.eyes.run, "eyes")
    me.eyes.attend()
    me.wait_for_frames(2)
    me.camera.broken = True
    with pytest.raises(DeviceError, match="stopped sending"):
        running.get()
    assert not me.lamp.lit
    with pytest.raises(DeviceError, match="stopped sending"):
        eventually(lambda: me.eyes.picture() is None)
    me.camera.broken = False
    again = Pending(me.eyes.run, "eyes")
    me.wait_for_frames(2)
    me.eyes.close()
    again.get()
    assert not me.lamp.lit


def test_closed_it_lets_go_whoever_opened_it() -> None:
    me = Seeing(EchoEngine().look, {"linger_s": 3600.0})
    assert me.eyes.picture().width == 160  # its thread is not running, as after a failure
    me.eyes.close()
    assert not me.lamp.lit
    with pytest.raises(DeviceError):
        me.eyes.picture()
    assert not me.lamp.lit
