"""The live assistant: parts, devices and threads put together, and what the glasses can do to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lorgnette.assistant.background import Worker
from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live.dialogue import Dialogue
from lorgnette.assistant.live.draft import Draft
from lorgnette.assistant.live.ears import Ears
from lorgnette.assistant.live.events import LiveEvent, Looked, SpeakingBegan, State, Trouble
from lorgnette.assistant.live.eyes import Eyes
from lorgnette.assistant.live.hearing import Hearing
from lorgnette.assistant.live.mouth import Mouth
from lorgnette.assistant.live.thinking import Thinking
from lorgnette.assistant.live.words import BATTERY_LOW, NO_MICROPHONE, TOO_HOT
from lorgnette.assistant.trace import TraceError, TraceLog, TurnTrace
from lorgnette.assistant.turn import Turns
from lorgnette.device.camera import Camera
from lorgnette.device.errors import LorgnetteError
from lorgnette.device.microphone import Microphone
from lorgnette.device.speaker import LiveSpeaker
from lorgnette.llm.engine import Exchange
from lorgnette.speech.echo_canceller import EchoCanceller
from lorgnette.speech.end_of_turn import EndOfTurnModel
from lorgnette.speech.turn_taking import TurnTaker, TurnTakingSettings
from lorgnette.speech.voice_activity import VoiceActivityDetector
from lorgnette.speech.wake_word import WakeWordDetector

_LOW, _EMPTY = 0.15, 0.05
_HEATS = ("normal", "warm", "hot")


@dataclass(frozen=True, slots=True)
class LiveParts:
    """What hears, thinks and speaks. `turns` are those that hear and speak; without `end_of_turn` silence alone ends a
    question, without `wake_word` nothing but the button or any speech begins one."""

    turns: Turns
    detector: VoiceActivityDetector
    echo: EchoCanceller
    end_of_turn: EndOfTurnModel | None = None
    wake_word: WakeWordDetector | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class LiveDevices:
    """What sees, hears and is heard. Whatever captures does so through one gate of the caller's."""

    camera: Camera
    microphone: Microphone
    speaker: LiveSpeaker


class LiveAssistant:
    """One conversation, from `start` (or entering the context) to `close`. `watch` hears every event, in order, from
    several threads, and must return at once. `max_age_s` is how old a picture may be.

    Nothing that the glasses report waits for anything.
    """

    def __init__(
        self,
        parts: LiveParts,
        devices: LiveDevices,
        settings: LiveConfig,
        watch: Callable[[LiveEvent], None],
        traces: TraceLog | None = None,
        max_age_s: float = 1.0,
    ) -> None:
        self._watch = watch
        self._watch_lock = threading.RLock()
        self._traces = traces
        self._running = False
        self._worn = True
        self._folded = False
        self._said_low = False
        self._empty = False
        self._troubles: set[str] = set()
        taking = TurnTakingSettings(
            settings.soft_end_s,
            settings.ask_s,
            finished_probability=settings.finished_probability,
            patience_s=settings.unfinished_s,
            whole_s=settings.whole_s,
        )
        taker = TurnTaker(parts.detector, parts.end_of_turn, taking)
        self._dialogue = dialogue = Dialogue(taker, parts.wake_word, settings, self._tell, self._keep)
        self._eyes = Eyes(
            devices.camera,
            parts.turns.look,
            self._tell,
            max_age_s,
            linger_s=settings.camera_linger_s,
            look_ahead=settings.look_ahead,
        )
        self._looks_ahead = settings.look_ahead
        turns, heard = parts.turns, (dialogue.understand, dialogue.partly_understood)
        self._hearing = Hearing(turns.transcriber, parts.language, *heard)
        self._thinking = Thinking(turns, self._eyes.picture, dialogue.history.shown, self._tell, self._failed)
        self._mouth = Mouth(devices.speaker, dialogue.speaking_began, dialogue.speaking_ended, settings.volume)
        devices.speaker.monitor(parts.echo.played)
        self._ears = Ears(devices.microphone, parts.echo, dialogue.hear, lambda: self._works("microphone"))
        dialogue.connect(self._eyes, self._hearing, self._thinking, self._mouth)
        works = {
            "microphone": self._ears.run,
            "camera": self._eyes.run,
            "hear": self._hearing.run,
            "think": self._thinking.run,
            "speaker": self._mouth.run,
        }
        self._workers = [Worker(name, work, lambda: self._running, self._failed) for name, work in works.items()]

    def start(self) -> None:
        """Start the threads and wake up."""
        self._running = True
        for worker in self._workers:
            worker.start()
        self._set_awake("started")

    def close(self) -> None:
        """Fall silent, let the devices go and end the threads."""
        self._dialogue.wake(False, "closed")
        self._running = False
        for part in (self._ears, self._eyes, self._hearing, self._thinking, self._mouth):
            part.close()
        for worker in self._workers:
            worker.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def state(self) -> State:
        return self._dialogue.state

    @property
    def history(self) -> tuple[Exchange, ...]:
        """What was asked, and what of the answers was heard."""
        return self._dialogue.history.exchanges

    def press_button(self) -> None:
        """Stops an answer, ends a question, or begins one."""
        self._dialogue.press()

    def tap(self) -> None:
        """The same as the button."""
        self._dialogue.press()

    def hold_button(self, held: bool) -> None:
        """Push to talk: a question lasts as long as the button is held."""
        self._dialogue.hold(held)

    def wear(self, worn: bool) -> None:
        """Put on or taken off: not worn, it is asleep."""
        self._worn = worn
        self._set_awake("put on" if worn else "taken off")

    def fold(self, folded: bool) -> None:
        """Folded, it is asleep, and microphone and camera are off."""
        self._folded = folded
        self._set_awake("folded" if folded else "unfolded")

    def battery(self, level: float) -> None:
        """`level` is 0 to 1: low is said once, nearly empty puts it to sleep."""
        self._empty = level < _EMPTY
        if level < _LOW and not self._said_low and not self._empty:
            self._dialogue.announce(BATTERY_LOW)
        self._said_low = level < _LOW
        self._set_awake("battery empty" if self._empty else "battery charged")

    def heat(self, level: str) -> None:
        """ "normal", "warm" or "hot": when hot, it does not look ahead. Raises ValueError for anything else."""
        if level not in _HEATS:
            raise ValueError(f"{level!r} is not one of {', '.join(_HEATS)}")
        ahead = self._looks_ahead and level != "hot"
        if self._eyes.look_ahead and not ahead:
            self._dialogue.announce(TOO_HOT)
        self._eyes.look_ahead = ahead

    def ask(self, text: str) -> None:
        """A question in writing; it is answered aloud. Nothing happens for an empty one, or asleep."""
        if text.strip() and self._is_awake:
            self._dialogue.ask(text.strip())

    def stop(self) -> None:
        """Fall silent."""
        self._dialogue.stop()

    def repeat(self) -> None:
        """Say the last answer again."""
        self._dialogue.stop()
        self._dialogue.announce(self._dialogue.history.last_answer)

    @property
    def _is_awake(self) -> bool:
        return self._running and self._worn and not self._folded and not self._empty

    def _set_awake(self, reason: str) -> None:
        awake = self._is_awake
        # Whoever shuts their eyes does so before they say that they are asleep.
        self._ears.open(awake)
        self._eyes.shut(not awake)
        self._dialogue.wake(awake, reason)

    def _tell(self, event: LiveEvent) -> None:
        if isinstance(event, Looked):
            self._works("camera")
        elif isinstance(event, SpeakingBegan):
            self._works("speaker")
        with self._watch_lock:
            self._watch(event)

    def _keep(self, trace: TurnTrace) -> None:
        if self._traces is not None:
            try:
                self._traces.append(trace)
            except TraceError as error:
                self._tell(Trouble("traces", error.message, error.hint))
                self._traces = None

    def _failed(self, part: str, error: Exception) -> None:
        """A thread's work ended with this error; it is begun again soon."""
        message, hint = f"{part} failed: {error!r}", ""
        if isinstance(error, LorgnetteError):
            message, hint = error.message, error.hint
        if part not in self._troubles:
            self._troubles.add(part)
            self._tell(Trouble(part, message, hint))
            self._dialogue.trouble(part, over=False)
            if part == "microphone":
                self._dialogue.announce(NO_MICROPHONE)
        if part in ("hear", "think"):
            worker: Hearing | Thinking = self._hearing if part == "hear" else self._thinking
            draft: Draft | None = worker.current
            worker.current = None
            self._dialogue.fail(draft)
            self._works(part)  # it failed on one question, and goes on with the next
        if part == "speaker":
            with suppress(LorgnetteError):
                self._mouth.stop()

    def _works(self, part: str) -> None:
        if part in self._troubles:
            self._troubles.discard(part)
            self._tell(Trouble(part, f"the {part} works again", over=True))
            self._dialogue.trouble(part, over=True)
