"""A dialogue with all that does the work, and an ear into which a test speaks, a chunk at a time.

So all times of turn-taking are those of the sound, however busy the machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lamp import Lamp
from live_box import (
    Hummer,
    LoudnessDetector,
    StillCamera,
    ToneTranscriber,
    WakeTone,
    Watch,
    silence,
    tone,
)

from lorgnette.assistant.background import Pending
from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live.dialogue import Dialogue
from lorgnette.assistant.live.events import (
    QuestionHeard,
    SpeakingBegan,
    SpeakingEnded,
    SpeechPaused,
    State,
)
from lorgnette.assistant.live.eyes import Eyes
from lorgnette.assistant.live.hearing import Hearing
from lorgnette.assistant.live.mouth import Mouth
from lorgnette.assistant.live.thinking import Thinking
from lorgnette.assistant.trace import TurnTrace
from lorgnette.assistant.turn import Turns
from lorgnette.device.capture import CaptureGate
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.echo_engine import EchoEngine
from lorgnette.speech.turn_taking import TurnTaker
from lorgnette.speech.voice_activity import FRAME_S, FRAME_SAMPLES

OPEN = LiveConfig(start="open", partials=False, echo="headset")
PUSH = LiveConfig(start="push", partials=False)
WOKEN = LiveConfig(start="wake", partials=False)
_UNDERSTOOD_S = 2.0


class Talk:
    """A dialogue with all that does the work, and an ear into which this test speaks."""

    def __init__(self, settings: LiveConfig) -> None:
        self.lamp = Lamp()
        gate = CaptureGate(self.lamp)
        self.watch = Watch()
        self.traces: list[TurnTrace] = []
        self.camera = StillCamera(gate)
        self.room = Room(gate, 12.0)
        self.transcriber = ToneTranscriber()
        engine, voice = EchoEngine(), Hummer()
        turns = Turns(lambda: engine, lambda: self.transcriber, lambda: voice)
        wake_word = WakeTone() if settings.start == "wake" else None
        taker = TurnTaker(LoudnessDetector())
        self.dialogue = talk = Dialogue(taker, wake_word, settings, self.watch, self.traces.append)
        self.eyes = Eyes(self.camera, turns.look, self.watch)
        self.hearing = Hearing(turns.transcriber, "en", talk.understand, talk.partly_understood)
        self.thinking = Thinking(turns, self.eyes.picture, talk.history.shown, self.watch, lambda part, error: None)
        self.mouth = Mouth(self.room.speaker, talk.speaking_began, talk.speaking_ended, settings.volume)
        talk.connect(self.eyes, self.hearing, self.thinking, self.mouth)

    @property
    def state(self) -> State:
        return self.dialogue.state

    def bring(self, sound: AudioChunk) -> None:
        """To the ear, as fast as it takes it."""
        for at in range(0, len(sound.samples), FRAME_SAMPLES):
            self.dialogue.hear(AudioChunk(sound.samples[at : at + FRAME_SAMPLES], 16_000, time.monotonic_ns()))

    def say(self, hertz: int, seconds: float = 0.5) -> None:
        self.bring(tone(hertz, seconds))

    def pause(self, seconds: float) -> None:
        """Silence. Sound is faster here than life: what was said is understood before most of it has passed."""
        soft = min(seconds, 4 * FRAME_S)
        self.bring(silence(soft))
        late = time.monotonic() + _UNDERSTOOD_S  # or never: nobody may want the words any more
        while self.watch.of(SpeechPaused) and not self._is_understood() and time.monotonic() < late:
            time.sleep(0.005)
        self.bring(silence(seconds - soft))

    def _is_understood(self) -> bool:
        last = self.watch.of(SpeechPaused)[-1]
        return any((heard.turn, heard.revision) == (last.turn, last.revision) for heard in self.watch.of(QuestionHeard))

    def ask(self, hertz: int, turn: int) -> None:
        """Say it, fall silent and wait for the answer to be heard."""
        self.say(hertz)
        self.pause(1.0)
        self.watch.wait(SpeakingBegan, where=lambda event: event.turn == turn)

    def wait_for_end(self, turn: int) -> SpeakingEnded:
        return self.watch.wait(SpeakingEnded, where=lambda event: event.turn == turn)

    def wait_until_understood(self, revision: int) -> QuestionHeard:
        return self.watch.wait(QuestionHeard, where=lambda event: event.revision == revision)


@contextmanager
def talk(settings: LiveConfig) -> Iterator[Talk]:
    me = Talk(settings)
    parts = (me.eyes, me.hearing, me.thinking, me.mouth)
    running = [Pending(part.run, "part") for part in parts]
    with ExitStack() as stack:
        for part in parts:
            stack.callback(part.close)
        me.dialogue.wake(True, "test")
        yield me
        me.dialogue.wake(False, "over")
    for one in running:
        one.get()
