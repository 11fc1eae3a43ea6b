"""Speaking so that it can be interrupted: ducked at once, held, gone on with or stopped, and knowing what was heard.

The loudspeaker's position is the clock: what lies ahead in it has not been said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lorgnette.assistant.live.answer_sound import AnswerSound
from lorgnette.device.sound import AudioChunk
from lorgnette.device.speaker import LiveSpeaker

_SLICE_S = 0.02
_DUCKED = 0.2
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Heard:
    """How an answer ended: the words that were heard, when the first sample was played and the last one heard
    (monotonic ns; None where none was), and whether it was cut short."""

    said: str
    played_at_ns: int | None
    end_at_ns: int | None
    interrupted: bool


class Mouth:
    """Plays one `AnswerSound` at a time. `run` is the work of its thread; everything else may be called from any.

    `began` is called at the first sample of an answer, `over` at its end, in either case without a lock held.
    """

    def __init__(
        self,
        speaker: LiveSpeaker,
        began: Callable[[AnswerSound], None],
        over: Callable[[AnswerSound, Heard], None],
        volume: float = 1.0,
    ) -> None:
        self._speaker = speaker
        self._began = began
        self._over = over
        self._volume = volume
        self._changed = threading.Condition()
        self._answer: AnswerSound | None = None
        self._sent = 0
        self._played_at_ns: int | None = None
        self._held = False
        self._closed = False

    @property
    def is_busy(self) -> bool:
        """Whether there is an answer that is not over, be it held or not yet audible."""
        return self._answer is not None

    @property
    def is_held(self) -> bool:
        return self._held

    @property
    def heard_s(self) -> float:
        """How much of the present answer was heard."""
        with self._changed:
            return self._heard() / self._answer.rate_hz if self._answer and self._answer.rate_hz else 0.0

    def play(self, answer: AnswerSound) -> None:
        """Play this from now on, in place of whatever is being played."""
        self.stop()
        with self._changed:
            self._answer, self._sent, self._played_at_ns, self._held = answer, 0, None, False
            self._speaker.volume = self._volume
            self._changed.notify_all()

    def duck(self, ducked: bool) -> None:
        """Turn the volume down, or back up."""
        self._speaker.volume = self._volume * (_DUCKED if ducked else 1.0)

    def hold(self) -> None:
        """Fall silent at once, and remember where."""
        with self._changed:
            if self._answer is not None and not self._held:
                self._held = True
                self._take_back()

    def go_on(self) -> None:
        """Go on from where it was held, at full volume."""
        with self._changed:
            self._held = False
            self._speaker.volume = self._volume
            self._changed.notify_all()

    def stop(self) -> None:
        """End the answer, if there is one."""
        with self._changed:
            answer = self._answer
            if answer is None:
                return
            self._take_back()
            heard = self._end(interrupted=True)
        self._over(answer, heard)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def run(self) -> None:
        """Play until closed. Raises DeviceError where the speaker fails; the answer is over then."""
        try:
            with self._speaker:
                self._speaker.volume = self._volume
                while not self._closed:
                    self._step()
        finally:
            self.stop()

    def _step(self) -> None:
        with self._changed:
            answer = self._answer
            if answer is None or self._held:
                self._changed.wait(_POLL_S)
                return
            start = self._sent
            samples = answer.slice(start, round(_SLICE_S * answer.rate_hz))
            self._sent += len(samples)
            begins = len(samples) > 0 and self._played_at_ns is None
            if begins:
                self._played_at_ns = time.monotonic_ns()
        if len(samples):
            self._speaker.play(AudioChunk(samples, answer.rate_hz))
            if begins:
                self._began(answer)
        elif answer.is_finished and answer.length <= start:
            self._drain(answer)
        else:
            time.sleep(_SLICE_S / 4)  # the next clause is being made

    def _drain(self, answer: AnswerSound) -> None:
        """Wait until the last sample was heard."""
        if self._speaker.waiting_s > 0:
            time.sleep(_SLICE_S / 4)
            return
        with self._changed:
            if self._answer is not answer or self._held:
                return
            heard = self._end(interrupted=False)
        self._over(answer, heard)

    def _take_back(self) -> None:
        assert self._answer is not None
        dropped = self._speaker.clear() * self._answer.rate_hz
        self._sent = max(0, self._sent - round(dropped))

    def _heard(self) -> int:
        assert self._answer is not None
        return max(0, self._sent - round(self._speaker.waiting_s * self._answer.rate_hz))

    def _end(self, interrupted: bool) -> Heard:
        assert self._answer is not None
        said = self._answer.said(self._heard() if interrupted else self._sent)
        heard = Heard(said, self._played_at_ns, time.monotonic_ns() if self._played_at_ns else None, interrupted)
        self._answer, self._held = None, False
        self._speaker.volume = self._volume
        return heard
