"""What always holds, whatever the wearer does and whatever breaks, in whichever order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from types import TracebackType
from typing import Any, Self, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from lamp import Lamp
from live_box import AGAIN, CAT, HUM, RED, STOP, WHAT, conversation, eventually

from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live.events import (
    QuestionHeard,
    SpeakingBegan,
    SpeakingEnded,
    SpeechEnded,
    State,
    StateChanged,
    TurnDone,
)
from lorgnette.assistant.live.words import NO_ANSWER, NO_CAMERA, WENT_WRONG
from lorgnette.device.camera import Camera
from lorgnette.device.frame import Frame
from lorgnette.device.microphone import Microphone
from lorgnette.device.sound import AudioChunk

SETTINGS = LiveConfig(start="open", partials=False, unfinished_s=0.5, follow_up_s=2.0, camera_linger_s=1.0)
STAMP_NS = 40_000_000
"""In a room that is faster than the clock a chunk's end is stamped a little too late."""


class WatchedMicrophone:
    """Another microphone; counts the chunks that come while its lamp is dark."""

    def __init__(self, microphone: Microphone, lamp: Lamp) -> None:
        self._microphone = microphone
        self._lamp = lamp
        self.unlit = 0

    def chunks(self) -> Iterator[AudioChunk]:
        with closing(cast(Any, self._microphone.chunks())) as chunks:
            for chunk in chunks:
                self.unlit += "microphone" not in self._lamp.lit
                yield chunk


class WatchedCamera:
    """Another camera; counts the frames that come while its lamp is dark."""

    def __init__(self, camera: Camera, lamp: Lamp) -> None:
        self._camera = camera
        self._lamp = lamp
        self.unlit = 0

    def latest(self, max_age_s: float) -> Frame:
        frame = self._camera.latest(max_age_s)
        self.unlit += "camera" not in self._lamp.lit
        return frame

    def close(self) -> None:
        self._camera.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Wearing(RuleBasedStateMachine):
    """A pair of glasses, their wearer, and bad luck."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._watched: list[WatchedMicrophone | WatchedCamera] = []
        self.me = self._stack.enter_context(
            conversation(SETTINGS, pace=12.0, microphone=self._watched_microphone, camera=self._watched_camera)
        )
        self.worn, self.folded, self.empty = True, False, False

    def _watched_microphone(self, microphone: Microphone, lamp: Lamp) -> Microphone:
        self._watched.append(watched := WatchedMicrophone(microphone, lamp))
        return watched

    def _watched_camera(self, camera: Camera, lamp: Lamp) -> Camera:
        self._watched.append(watched := WatchedCamera(camera, lamp))
        return watched

    @property
    def awake(self) -> bool:
        return self.worn and not self.folded and not self.empty

    @rule(hertz=st.sampled_from([WHAT, RED, CAT, HUM, STOP, AGAIN]), seconds=st.sampled_from([0.06, 0.3, 0.6]))
    def say(self, hertz: int, seconds: float) -> None:
        self.me.say(hertz, seconds)
        self.me.room.sleep(seconds)

    @rule(seconds=st.sampled_from([0.1, 0.4, 1.0, 2.5]))
    def wait(self, seconds: float) -> None:
        self.me.room.sleep(seconds)

    @rule()
    def press(self) -> None:
        self.me.assistant.press_button()

    @rule(held=st.booleans())
    def hold(self, held: bool) -> None:
        self.me.assistant.hold_button(held)

    @rule(folded=st.booleans())
    def fold(self, folded: bool) -> None:
        self.folded = folded
        self.me.assistant.fold(folded)

    @precondition(lambda self: self.folded)
    @rule()
    def unfold(self) -> None:
        self.fold(False)

    @rule(worn=st.booleans())
    def wear(self, worn: bool) -> None:
        self.worn = worn
        self.me.assistant.wear(worn)

    @precondition(lambda self: not self.worn)
    @rule()
    def put_on(self) -> None:
        self.wear(True)

    @rule(level=st.sampled_from([0.04, 0.1, 0.9]))
    def battery(self, level: float) -> None:
        self.empty = level < 0.05
        self.me.assistant.battery(level)

    @rule(level=st.sampled_from(["normal", "hot"]))
    def heat(self, level: str) -> None:
        self.me.assistant.heat(level)

    @rule()
    def ask(self) -> None:
        self.me.assistant.ask("In writing?")

    @rule()
    def stop(self) -> None:
        self.me.assistant.stop()

    @rule()
    def repeat(self) -> None:
        self.me.assistant.repeat()

    @rule(plugged=st.booleans())
    def microphone(self, plugged: bool) -> None:
        (self.me.room.plug_microphone if plugged else self.me.room.unplug_microphone)()

    @rule(part=st.sampled_from(["camera", "transcriber", "speaker"]), broken=st.booleans())
    def fault(self, part: str, broken: bool) -> None:
        getattr(self.me, part).broken = broken

    @invariant()
    def asleep_means_asleep(self) -> None:
        assert (self.me.assistant.state is State.ASLEEP) == (not self.awake)
        if not self.awake:
            assert "camera" not in self.me.lamp.lit
            taken = self.me.camera.taken
            eventually(lambda: not self.me.lamp.lit, "the microphone is still on")
            assert self.me.camera.taken == taken

    @invariant()
    def the_lamp_is_lit_whenever_something_is_taken(self) -> None:
        assert [watched.unlit for watched in self._watched] == [0, 0]

    @invariant()
    def what_is_told_makes_sense(self) -> None:
        events = self.me.watch.events
        states = [event.state for event in events if isinstance(event, StateChanged)]
        assert all(one is not other for one, other in pairwise(states)), "a state is told when it changes"
        speaking = [event for event in events if isinstance(event, SpeakingBegan | SpeakingEnded)]
        for one, other in pairwise(speaking):
            if isinstance(one, SpeakingBegan):
                assert isinstance(other, SpeakingEnded), "every answer that began ends before the next"
                assert other.turn == one.turn

    @invariant()
    def no_stale_draft_is_heard(self) -> None:
        events = self.me.watch.events
        for place, done in enumerate(events):
            if isinstance(done, TurnDone) and done.question:
                before = events[:place]
                asked = [e for e in before if isinstance(e, QuestionHeard) and e.turn == done.turn]
                ended = [e for e in before if isinstance(e, SpeechEnded) and e.turn == done.turn]
                assert done.question == asked[-1].text
                if done.trace.spoken and asked[-1].kind == "question":
                    assert asked[-1].revision == ended[-1].revision == done.trace.revisions
                    whole = f"You asked: {done.question} The picture is 64 x 48."
                    assert whole.startswith(done.answer) or any(
                        known.startswith(done.answer) for known in (NO_CAMERA, WENT_WRONG, NO_ANSWER)
                    )

    @invariant()
    def every_trace_is_in_order(self) -> None:
        for done in self.me.watch.of(TurnDone):
            trace = done.trace
            marks = [trace.speech_start_at_ns, trace.asked_at_ns, trace.soft_end_at_ns, trace.end_of_turn_at_ns]
            marks += [trace.played_at_ns, trace.playback_end_at_ns]
            times = [mark for mark in marks if mark is not None]
            assert all(one <= other + STAMP_NS for one, other in pairwise(times))
            assert trace.played_at_ns is not None or done.answer == ""

    def teardown(self) -> None:
        """With everything mended and put right it is as good as new."""
        with self._stack:
            for part in ("camera", "transcriber", "speaker"):
                self.fault(part, False)
            self.microphone(True)
            self.battery(0.9)
            self.fold(False)
            self.wear(True)
            self.me.assistant.hold_button(False)
            resting = {State.IDLE, State.LISTENING, State.DEGRADED}
            eventually(lambda: self.me.assistant.state in resting, "it does not come to rest")
            self.me.room.sleep(1.0)
            eventually(lambda: self.me.assistant.state in resting, "it does not come to rest")
            self.me.assistant.ask("Still there?")
            whole = "You asked: Still there? The picture is 64 x 48."
            self.me.watch.wait(SpeakingEnded, where=lambda event: event.said == whole and not event.interrupted)
            self.what_is_told_makes_sense()
        assert self.me.lamp.lit == set()
        assert self.me.assistant.state is State.ASLEEP
        assert len(self.me.watch.of(SpeakingBegan)) <= len(self.me.watch.of(SpeakingEnded))
        assert all(done.trace.began for done in self.me.watch.of(TurnDone))


TestWearing = Wearing.TestCase
TestWearing.settings = settings(
    max_examples=12,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
