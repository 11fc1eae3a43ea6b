"""Noticing when the wearer begins to speak, pauses, goes on and has finished: turn-taking, a chunk at a time.

A short silence is only a soft end: whoever listens may begin to draft an answer. Whether it was the end is settled by
how finished the words sounded (an `EndOfTurnModel`) and by how long the silence lasts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from lorgnette.device.sound import AudioChunk, joined
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.speech.end_of_turn import EndOfTurnModel
from lorgnette.speech.voice_activity import FRAME_S, FRAME_SAMPLES, VoiceActivityDetector

_BEFORE_S = 0.4
"""Kept from before the detector noticed: it needs a moment, and soft first consonants come before that."""


@dataclass(frozen=True, slots=True)
class TurnTakingSettings:
    """Times are silences in seconds, from the last frame with speech in it.

    After `soft_end_s` comes a soft end: whoever drafts an answer begins. After `ask_s` the end-of-turn model is asked,
    and again every `ask_again_s`: where it gives at least `finished_probability`, the turn ends, otherwise after
    `patience_s`, or after `whole_s` where the words are known and may be a whole turn. Speech that begins less than
    `reopen_s` after an end goes on with that turn. What has less than `shortest_s` of speech in it was a click. A turn
    is cut at `longest_s`. The model's times and probability, and `whole_s`, are those that benchmarks/end_of_turn.py
    chose.
    """

    soft_end_s: float = 0.064
    ask_s: float = 0.16
    ask_again_s: float = 0.256
    finished_probability: float = 0.3
    patience_s: float = 1.6
    whole_s: float = 0.8
    reopen_s: float = 0.8
    shortest_s: float = 0.096
    longest_s: float = 30.0
    on_probability: float = 0.5
    off_probability: float = 0.35


@dataclass(frozen=True, slots=True)
class Began:
    """Speech, since `at_ns` (monotonic). With `reopened` it belongs to the turn that had just ended."""

    reopened: bool
    at_ns: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Paused:
    """A soft end. `sound` is all of the turn so far (16 kHz), `speech_end_ns` when its speech ended (monotonic)."""

    sound: AudioChunk
    revision: int
    speech_end_ns: int


@dataclass(frozen=True, slots=True)
class Judged:
    """How likely the end-of-turn model takes what was said for a whole turn."""

    revision: int
    finished_probability: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """Speech again: revision `revision` was not the whole turn."""

    revision: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn is over, and revision `revision` is all of it."""

    revision: int


@dataclass(frozen=True, slots=True)
class Dismissed:
    """What began was too short to be speech."""


TurnEvent = Began | Paused | Judged | Resumed | Ended | Dismissed


class TurnTaker:
    """Fed with every chunk of the microphone, it says what happened. Without `end_of_turn` only silence counts."""

    def __init__(
        self,
        detector: VoiceActivityDetector,
        end_of_turn: EndOfTurnModel | None = None,
        settings: TurnTakingSettings | None = None,
    ) -> None:
        self._detector = detector
        self._end_of_turn = end_of_turn
        self._settings = settings or TurnTakingSettings()
        self._before: deque[AudioChunk] = deque(maxlen=max(1, round(_BEFORE_S / FRAME_S)))
        self._revision = 0
        self.reset()

    def reset(self) -> None:
        """Forget what came before; the next speech is a new turn."""
        self._detector.reset()
        self._before.clear()
        self._taken: list[AudioChunk] = []
        self._previous: list[AudioChunk] = []
        self._since_end_s = 0.0
        self._probability = 0.0
        self._speaking = False
        self._paused = False
        self._deaf = False
        self._silent_frames = 0
        self._loud_frames = 0
        self._silent_frames_at_end = 0
        self._speech_end_ns = 0
        self._sounds_finished = False
        self._is_doubted = False
        self._patience_s = self._settings.patience_s
        self._ask_at_s = 0.0

    @property
    def in_turn(self) -> bool:
        """Whether a turn has begun and not ended."""
        return self._speaking

    @property
    def revision(self) -> int:
        """The last one that paused."""
        return self._revision

    @property
    def may_be_speech(self) -> bool:
        """Whether the last frame might have had speech in it, be it not enough to begin a turn."""
        return self._probability >= self._settings.off_probability

    @property
    def is_loud(self) -> bool:
        """Whether the last frame had speech in it."""
        return self._speaking and self._silent_frames == 0

    @property
    def speech_s(self) -> float:
        """How much speech the turn has so far."""
        return self._loud_frames * FRAME_S

    @property
    def sound(self) -> AudioChunk:
        """The turn so far (16 kHz)."""
        return joined(self._taken, SPEECH_RATE_HZ)

    def push(self, chunk: AudioChunk) -> list[TurnEvent]:
        """Take in the next 512 samples at 16 kHz."""
        self._probability = probability = self._detector.probability(chunk.samples)
        if not self._speaking:
            return self._wait(chunk, probability)
        self._taken.append(chunk)
        if probability >= self._settings.on_probability:
            return self._go_on(chunk)
        if probability < self._settings.off_probability or self._silent_frames:
            self._silent_frames += 1
        silence_s = self._silent_frames * FRAME_S
        too_long = len(self._taken) * FRAME_S >= self._settings.longest_s
        events: list[TurnEvent] = []
        if not self._paused and (silence_s >= self._settings.soft_end_s - FRAME_S / 2 or too_long):
            events += self._soften()
        elif (
            self._paused
            and not (self._sounds_finished or self._is_doubted)
            and silence_s >= self._ask_at_s - FRAME_S / 2
        ):
            events += self._ask(silence_s)
        is_over = self._sounds_finished or too_long or silence_s >= self._patience_s - FRAME_S / 2
        if self._paused and is_over:
            events += self._end()
        return events

    def settle(self) -> None:
        """The turn that ended last is not to be reopened: speech from now on is a new turn."""
        self._previous = []

    def weigh(self, unfinished: bool) -> bool:
        """The words of the last revision are known. Where they are `unfinished` it was no end, whatever it sounded
        like: the turn goes on, even if it ended just now, until speech or `patience_s` of silence. Returns whether it
        does."""
        if unfinished and self._previous:
            self._taken, self._previous = self._previous, []
            self._speaking = self._paused = True
            self._silent_frames = self._silent_frames_at_end + round(self._since_end_s / FRAME_S)
        self._is_doubted = unfinished and self._paused
        if self._is_doubted:
            self._sounds_finished = False
        elif self._paused:
            self._patience_s = min(self._settings.whole_s, self._settings.patience_s)
        return self._is_doubted

    def end_now(self) -> list[TurnEvent]:
        """End the turn at once, as when a button is let go; the rest of the word that is being said is not heard."""
        if not self._speaking:
            return []
        self._deaf = self.is_loud
        events: list[TurnEvent] = [] if self._paused else self._soften()
        events += self._end() if self._speaking else []
        self.settle()
        return events

    def _wait(self, chunk: AudioChunk, probability: float) -> list[TurnEvent]:
        self._since_end_s += FRAME_S
        self._deaf = self._deaf and probability >= self._settings.off_probability
        if self._deaf or probability < self._settings.on_probability:
            self._before.append(chunk)
            if self._previous and self._since_end_s <= self._settings.reopen_s:
                self._previous.append(chunk)  # the silence between belongs to the turn, should it go on
            else:
                self._previous = []
            return []
        reopened = bool(self._previous)
        self._revision = self._revision if reopened else 0
        self._taken = [*(self._previous or self._before), chunk]
        self._previous = []
        self._speaking, self._paused = True, False
        self._silent_frames, self._loud_frames = 0, self._loud_frames + 1 if reopened else 1
        self._speech_end_ns = _end_ns(chunk)
        return [Began(reopened, chunk.timestamp_ns)]

    def _go_on(self, chunk: AudioChunk) -> list[TurnEvent]:
        self._loud_frames += 1
        self._silent_frames = 0
        self._speech_end_ns = _end_ns(chunk)
        if len(self._taken) * FRAME_S >= self._settings.longest_s:
            return self._soften() + self._end()
        if not self._paused:
            return []
        self._paused = False
        return [Resumed(self._revision)]

    def _soften(self) -> list[TurnEvent]:
        if self.speech_s < self._settings.shortest_s - FRAME_S / 2:
            self._forget()
            return [Dismissed()]
        self._paused = True
        self._revision += 1
        self._sounds_finished = self._is_doubted = False
        self._patience_s = self._settings.patience_s
        # Not in the same frame: the draft is not to wait for the model.
        self._ask_at_s = max(self._settings.ask_s, (self._silent_frames + 1) * FRAME_S)
        return [Paused(self.sound, self._revision, self._speech_end_ns)]

    def _ask(self, silence_s: float) -> list[TurnEvent]:
        """Have the model judge the turn so far."""
        if self._end_of_turn is None:
            return []
        self._ask_at_s = silence_s + self._settings.ask_again_s
        probability = self._end_of_turn.probability(self.sound)
        self._sounds_finished = probability >= self._settings.finished_probability
        return [Judged(self._revision, probability)]

    def _end(self) -> list[TurnEvent]:
        self._previous, self._taken = self._taken, []
        self._since_end_s = 0.0
        self._speaking = self._paused = False
        self._silent_frames_at_end, self._silent_frames = self._silent_frames, 0
        self._before.clear()
        return [Ended(self._revision)]

    def _forget(self) -> None:
        self._before.extend(self._taken)
        self._taken = []
        self._speaking = self._paused = False
        self._silent_frames = 0


def _end_ns(chunk: AudioChunk) -> int:
    return chunk.timestamp_ns + FRAME_SAMPLES * 1_000_000_000 // SPEECH_RATE_HZ
