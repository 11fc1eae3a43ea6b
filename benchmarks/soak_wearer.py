"""The wearer of a soak: what is done at random, what must come of it, and what is counted."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable

from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.live.assistant import LiveAssistant
from lorgnette.assistant.live.events import (
    AnswerText,
    LiveEvent,
    Looked,
    SpeakingBegan,
    SpeakingEnded,
    State,
    Trouble,
    TurnDone,
    as_message,
)
from lorgnette.assistant.scenario.scenario import View
from lorgnette.assistant.scenario.scene import SceneCamera
from lorgnette.assistant.scenario.sounds import cough
from lorgnette.assistant.scenario.wearer import speak
from lorgnette.assistant.simulator.faults import Faults, FaultSwitches
from lorgnette.device.room import Room

QUESTIONS = (
    "Is there a cat in the picture?",
    "Is there a dog in the picture?",
    "What animal is this?",
    "What is the man holding?",
    "What can you see in this picture?",
    "Is there a person in the picture?",
    "Is there a cup on the table?",
    "What color is it?",
)
VOICES = ("flite/slt", "flite/rms", "flite/awb", "espeak-ng/en-us")
SIGN = View(sign="The museum is open from ten to six. Please keep your ticket until you leave.")
_PATIENCE_S = 90.0  # on the wall's clock, for a machine that has other things to do
_BEGINS_S = 30.0


class Lamp:
    """An indicator that knows what it shows."""

    def __init__(self) -> None:
        self.lit: set[str] = set()

    def light(self, source: str) -> None:
        self.lit.add(source)

    def dark(self, source: str) -> None:
        self.lit.discard(source)


class Tally:
    """What is counted of events: answers that `began` and `ended`; `expected` are the parts broken on purpose."""

    def __init__(self) -> None:
        self.began = self.ended = 0
        self.expected: set[str] = set()
        self.troubles: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self.last: deque[str] = deque(maxlen=60)

    def watch(self, event: LiveEvent) -> None:
        if not isinstance(event, AnswerText | Looked | TurnDone):
            self.last.append(" ".join(map(str, as_message(event).values()))[:120])
        match event:
            case SpeakingBegan():
                self.began += 1
            case SpeakingEnded():
                self.ended += 1
            case Trouble(part=part, message=message, over=False):
                self.troubles[part] += 1
                if part not in self.expected:
                    self.unexpected.append(f"{part}: {message}")


class Soak:
    """The wearer. `outcomes` counts what became of questions, by what was done."""

    def __init__(
        self,
        assistant: LiveAssistant,
        room: Room,
        camera: SceneCamera,
        switches: FaultSwitches,
        lamp: Lamp,
        tally: Tally,
        chance: random.Random,
    ) -> None:
        self._assistant, self._room, self._camera, self._switches = assistant, room, camera, switches
        self._lamp, self._tally, self._chance = lamp, tally, chance
        self._name = ""
        self.outcomes: Counter[str] = Counter()
        self.lost: list[str] = []
        self.lamp_faults: list[str] = []

    def turn(self) -> None:
        """One thing that a wearer does, or that happens to one, and back to normal."""
        actions: dict[Callable[[], None], int] = {
            self._asks: 30,
            self._writes: 8,
            self._interrupts: 12,
            self._stops: 8,
            self._presses: 6,
            self._coughs: 6,
            self._is_silent: 8,
            self._loses_camera: 4,
            self._loses_microphone: 4,
            self._loses_speaker: 3,
            self._has_bad_connection: 4,
            self._folds: 5,
            self._takes_off: 3,
            self._runs_hot: 2,
        }
        action = self._chance.choices(list(actions), list(actions.values()))[0]
        self._name = action.__name__.removeprefix("_")
        photos = [View(example.photo) for example in shipped_examples().values()]
        self._camera.show(self._chance.choice([*photos, SIGN]))
        action()
        self._switches.now = Faults()
        self._tally.expected.clear()

    def _say(self, words: str | None = None) -> str:
        words = words or self._chance.choice(QUESTIONS)
        _, end_s = self._room.say(speak([words], self._chance.choice(VOICES)), self._chance.uniform(0.7, 1.3))
        self._room.sleep(end_s - self._room.now_s)
        return words

    def _answered(self, asked: str, began: int) -> bool:
        """Wait for an answer that begins after `began` others, and for the end of all."""
        if self._until(lambda: self._tally.began > began, _PATIENCE_S) and self._until(
            lambda: self._tally.ended >= self._tally.began and self._is_at_rest(), _PATIENCE_S
        ):
            self.outcomes[f"{self._name}: answered"] += 1
            return True
        self.outcomes[f"{self._name}: lost"] += 1
        self.lost.append(
            f"{self._room.now_s:.0f} s, {self._name}: {asked!r}; {' | '.join(list(self._tally.last)[-12:])}"
        )
        return False

    def _asks(self) -> None:
        began = self._tally.began
        self._answered(self._say(), began)
        self._room.sleep(self._chance.uniform(0.5, 4))

    def _writes(self) -> None:
        began, words = self._tally.began, self._chance.choice(QUESTIONS)
        self._assistant.ask(words)
        self._answered(words, began)

    def _begins_long_answer(self) -> bool:
        """Whether an answer is being heard that is long enough to be interrupted."""
        self._camera.show(SIGN)
        began = self._tally.began
        self._assistant.ask("What does it say?")
        return self._until(lambda: self._tally.began > began, _BEGINS_S)

    def _interrupts(self) -> None:
        if self._begins_long_answer():
            self._room.sleep(self._chance.uniform(0.3, 2))
            began = self._tally.began
            self._answered(self._say(), began)

    def _stops(self) -> None:
        if self._begins_long_answer():
            self._room.sleep(self._chance.uniform(0.3, 2))
            self._say(self._chance.choice(["Stop.", "Stop, please."]))
            self._falls_silent()

    def _presses(self) -> None:
        if self._begins_long_answer():
            self._room.sleep(self._chance.uniform(0.3, 2))
            self._assistant.press_button()
            self._falls_silent()

    def _coughs(self) -> None:
        if self._begins_long_answer():
            self._room.sleep(self._chance.uniform(0.3, 2))
            self._room.say(cough())
            self._falls_silent()

    def _falls_silent(self) -> None:
        done = self._until(self._is_at_rest, _PATIENCE_S)
        self.outcomes[f"{self._name}: {'over' if done else 'never over'}"] += 1
        if not done:
            self._note_lost("the answer is never over")
            self._assistant.stop()

    def _is_silent(self) -> None:
        began = self._tally.began
        self._room.sleep(self._chance.uniform(5, 40))
        self.outcomes[f"{self._name}: {'silent' if self._tally.began == began else 'answered nobody'}"] += 1

    def _loses_camera(self) -> None:
        self._break("camera", Faults(camera_lost=True))
        self._asks()

    def _loses_microphone(self) -> None:
        self._break("microphone", Faults(microphone_lost=True))
        self._room.sleep(self._chance.uniform(2, 8))
        self._say()
        self.outcomes[f"{self._name}: microphone gone"] += 1
        self._until(self._is_at_rest, _PATIENCE_S)
        self._switches.now = Faults()
        self._until(lambda: "microphone" in self._lamp.lit, _PATIENCE_S)
        self._room.sleep(0.5)
        self._asks()

    def _loses_speaker(self) -> None:
        self._break("speaker", Faults(speaker_stalled=True))
        self._assistant.ask(self._chance.choice(QUESTIONS))
        self._room.sleep(self._chance.uniform(1, 30))
        self.outcomes[f"{self._name}: loudspeaker gone"] += 1
        self._switches.now = Faults()
        self._until(self._is_at_rest, _PATIENCE_S)
        time.sleep(1.5)  # whoever has failed is tried again after a second of the wall's
        self._asks()

    def _has_bad_connection(self) -> None:
        self._break("camera", Faults(drop=0.03, delay_s=0.05, jitter_s=0.05))
        self._asks()

    def _folds(self) -> None:
        self._sleeps(self._assistant.fold, True)

    def _takes_off(self) -> None:
        self._sleeps(self._assistant.wear, False)

    def _sleeps(self, change: Callable[[bool], None], asleep: bool) -> None:
        self._begins_long_answer()
        self._room.sleep(self._chance.uniform(0, 2))
        change(asleep)
        if not self._until(lambda: not self._lamp.lit, _BEGINS_S):
            self.lamp_faults.append(f"{self._room.now_s:.0f} s: asleep, and lit for {self._lamp.lit}")
        self._say()
        self.outcomes[f"{self._name}: asleep"] += 1
        change(not asleep)
        self._until(lambda: "microphone" in self._lamp.lit, _BEGINS_S)
        self._room.sleep(0.5)
        self._asks()

    def _runs_hot(self) -> None:
        self._assistant.heat("hot")
        self._until(self._is_at_rest, _PATIENCE_S)
        self._asks()
        self._assistant.heat("normal")

    def _break(self, part: str, faults: Faults) -> None:
        self._tally.expected.add(part)
        self._switches.now = faults

    def _is_at_rest(self) -> bool:
        return self._assistant.state not in (State.THINKING, State.SPEAKING) and self._tally.ended >= self._tally.began

    def _until(self, true: Callable[[], bool], limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while not true():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
