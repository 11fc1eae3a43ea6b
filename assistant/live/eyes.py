"""Seeing while the wearer still speaks: frames are taken and looked at from the first sign of a question on.

The picture stands before the question in a prompt, so all that depends on it can be computed early and exactly.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from lorgnette.assistant.live.events import LiveEvent, Looked
from lorgnette.device.camera import Camera
from lorgnette.device.errors import DeviceError
from lorgnette.device.frame import Frame
from lorgnette.llm.engine import Look
from lorgnette.vision.scene_change import SceneSketch, sharpness

_SHARPER = 1.5
"""So many times sharper a frame must be to be looked at in place of another one of the same scene."""

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Sight:
    """A frame that was looked at."""

    frame: Frame
    sketch: SceneSketch
    sharpness: float

    @property
    def age_s(self) -> float:
        return (time.monotonic_ns() - self.frame.timestamp_ns) / 1e9


class EyesShut(DeviceError):
    """The glasses are folded, or not worn."""

    def __init__(self) -> None:
        super().__init__("the camera is shut", "unfold the glasses")


class Eyes:
    """`run` is the work of its thread; everything else may be called from any.

    While attending, a frame is taken every `period_s` and looked at if it shows another scene, is much sharper, or the
    one looked at last is older than half of `max_age_s`. The camera is let go `linger_s` after nobody attends any more.
    Without `look_ahead` a frame is taken when it is asked for, and not before.
    """

    def __init__(
        self,
        camera: Camera,
        look: Callable[[Frame], Look],
        tell: Callable[[LiveEvent], None],
        max_age_s: float = 1.0,
        period_s: float = 0.12,
        linger_s: float = 10.0,
        look_ahead: bool = True,
    ) -> None:
        self.look_ahead = look_ahead
        self._camera = camera
        self._look = look
        self._tell = tell
        self._max_age_s = max_age_s
        self._period_s = period_s
        self._linger_s = linger_s
        self._changed = threading.Condition()
        self._camera_lock = threading.Lock()
        self._attending = False
        self._rest_at = 0.0
        self._is_open = False
        self._shut = False
        self._closed = False
        self._sight: Sight | None = None

    def attend(self) -> None:
        """Look from now on."""
        with self._changed:
            self._attending = True
            self._changed.notify_all()

    def rest(self) -> None:
        """Look no more; the camera stays open for a while."""
        with self._changed:
            if self._attending:
                self._rest_at = time.monotonic() + self._linger_s
            self._attending = False

    def shut(self, shut: bool) -> None:
        """Close the camera at once and refuse to see until opened again."""
        with self._changed:
            self._shut = shut
            self._attending = self._attending and not shut
            self._rest_at = 0.0
        if shut:
            self._let_go()

    def seen(self) -> Frame | None:
        """The frame looked at last, if it is at most `max_age_s` old and eyes look ahead."""
        sight = self._sight
        return sight.frame if self.look_ahead and sight is not None and sight.age_s <= self._max_age_s else None

    def picture(self) -> Frame:
        """The frame to answer from, at most `max_age_s` old: the one looked at last, or a new one.

        Raises EyesShut, and DeviceError where there is no camera or it went away.
        """
        frame = self.seen() or self._see(self._take()).frame
        if self._shut:
            raise EyesShut
        return frame

    def close(self) -> None:
        """Close the camera for good and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.shut(True)

    def run(self) -> None:
        """Watch until closed. Raises DeviceError where the camera fails while it is being watched."""
        try:
            while not self._closed:
                if self._attending and self.look_ahead and not self._shut:
                    with suppress(EyesShut):  # meanwhile
                        self._watch()
                    self._wait(self._period_s)
                else:
                    if self._is_open and not self._attending and time.monotonic() >= self._rest_at:
                        self._let_go()
                    self._wait(_POLL_S if self._is_open else 2 * _POLL_S)
        finally:
            self._let_go()

    def _watch(self) -> None:
        frame = self._take()
        sight, sketch, sharp = self._sight, SceneSketch(frame), sharpness(frame)
        if (
            sight is None
            or sight.age_s > self._max_age_s / 2
            or sketch.shows_another_scene(sight.sketch)
            or sharp > _SHARPER * sight.sharpness
        ):
            self._see(frame, sketch, sharp)

    def _take(self) -> Frame:
        with self._camera_lock:
            if self._shut:
                raise EyesShut
            self._is_open = True
            self._rest_at = time.monotonic() + self._linger_s
            return self._camera.latest(self._max_age_s)

    def _see(self, frame: Frame, sketch: SceneSketch | None = None, sharp: float | None = None) -> Sight:
        started_ns = time.monotonic_ns()
        look = self._look(frame)
        took_ms = (time.monotonic_ns() - started_ns) / 1e6
        sight = Sight(frame, sketch or SceneSketch(frame), sharpness(frame) if sharp is None else sharp)
        with self._camera_lock:
            if self._is_open:  # and not let go meanwhile
                self._sight = sight
        self._tell(Looked(frame, took_ms, look.cached))
        return sight

    def _let_go(self) -> None:
        with self._camera_lock:
            if self._is_open:
                self._camera.close()
            self._is_open = False
            self._sight = None

    def _wait(self, timeout_s: float) -> None:
        with self._changed:
            if not self._closed:
                self._changed.wait(timeout_s)
