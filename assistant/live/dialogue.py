"""Who has the floor: from sounds and buttons to drafts, and from drafts to an answer that is heard.

Driven by the microphone, a chunk at a time, so its clock is that of the sound: everything it waits for is counted in
chunks. No threads and no devices are in here, and nothing in here waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live.answer_sound import AnswerSound
from lorgnette.assistant.live.draft import Draft
from lorgnette.assistant.live.events import (
    LiveEvent,
    PartialHeard,
    QuestionHeard,
    SpeakingBegan,
    SpeakingDucked,
    SpeakingEnded,
    SpeakingPaused,
    SpeechBegan,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
    State,
    StateChanged,
    TurnDone,
)
from lorgnette.assistant.live.eyes import Eyes
from lorgnette.assistant.live.hearing import Hearing, Unfinished
from lorgnette.assistant.live.mouth import Heard, Mouth
from lorgnette.assistant.live.thinking import Thinking
from lorgnette.assistant.live.words import (
    BACKCHANNEL,
    ECHO,
    NOTHING_TO_REPEAT,
    QUESTION,
    REPEAT,
    STOP,
    WENT_WRONG,
    is_echo,
    meaning,
    without_wake_word,
)
from lorgnette.assistant.trace import TurnTrace, wall_clock
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.engine import Exchange
from lorgnette.speech.rolling_transcript import Partial
from lorgnette.speech.turn_taking import Began, Dismissed, Ended, Paused, Resumed, TurnEvent, TurnTaker
from lorgnette.speech.voice_activity import FRAME_S
from lorgnette.speech.wake_word import WakeWordDetector

_AFTER_WAKE_S = 0.3
"""Sound from before the wake word was noticed that may belong to the question already."""

_WORD_OVER_ANSWER_S = 0.3
"""Over an answer, what has less speech in it is no question, though it may be a "stop"."""

_REOPENABLE_S = 0.8
"""Once so much of an answer was heard, speech is about the answer and does not go on with the question."""


class Dialogue:
    """`connect` brings in those who do the work. Called from the threads of all of them, one at a time."""

    def __init__(
        self,
        taker: TurnTaker,
        wake_word: WakeWordDetector | None,
        settings: LiveConfig,
        tell: Callable[[LiveEvent], None],
        remember: Callable[[TurnTrace], None] = lambda trace: None,
    ) -> None:
        self._taker = taker
        self._wake_word = wake_word
        self._settings = settings
        self._tell = tell
        self._remember = remember
        self._lock = threading.RLock()
        self._state = State.ASLEEP
        self._awake = False
        self._troubles: set[str] = set()
        self._turn = 0
        self._draft: Draft | None = None
        self._answering: Draft | None = None
        self._audible = False
        self._ducked = False
        self._listen_s = 0.0  # for so long speech may still begin
        self._button_held = False
        self._wake_ns: int | None = None
        self._speech_start_ns: int | None = None
        self._over = ""
        self._partial_at_s = 0.0
        self._last_partial_ns: int | None = None
        self._recent: deque[AudioChunk] = deque(maxlen=max(1, round(_AFTER_WAKE_S / FRAME_S)))
        self._history: deque[Exchange] = deque(maxlen=100)

    def connect(self, eyes: Eyes, hearing: Hearing, thinking: Thinking, mouth: Mouth) -> None:
        self._eyes, self._hearing, self._thinking, self._mouth = eyes, hearing, thinking, mouth

    @property
    def state(self) -> State:
        return self._state

    @property
    def history(self) -> tuple[Exchange, ...]:
        """What was asked and what of the answers was heard."""
        return tuple(self._history)

    def remembered(self) -> tuple[Exchange, ...]:
        """The part of the history that the model is shown."""
        return self.history[-self._settings.remember :] if self._settings.remember else ()

    # What the ears bring.

    def hear(self, chunk: AudioChunk) -> None:
        """The next 512 samples at 16 kHz, free of the assistant's own voice."""
        with self._lock:
            if not self._awake:
                return
            self._recent.append(chunk)
            if self._wake_word is not None and self._wake_word.heard(chunk.samples):
                return self._be_woken()
            if not self._is_listening():
                return
            self._take_turn(chunk)
            if not self._taker.in_turn and self._listen_s > 0:
                self._listen_s -= FRAME_S
                if self._listen_s <= 0:
                    self._rest("nobody spoke")

    def _be_woken(self) -> None:
        """The wake word, be it over an answer: what follows is a question."""
        self.stop()
        self._wake_ns = time.monotonic_ns()
        self._listen(self._settings.patience_s, "wake word")
        for earlier in tuple(self._recent):
            self._take_turn(earlier)

    def _is_listening(self) -> bool:
        return (
            self._settings.start == "open"
            or self._button_held
            or self._listen_s > 0
            or self._taker.in_turn
            or self._mouth.is_busy
            or self._draft is not None
        )

    def _take_turn(self, chunk: AudioChunk) -> None:
        if self._mouth.heard_s >= _REOPENABLE_S:
            self._taker.settle()
        for event in self._taker.push(chunk):
            self._happen(event, chunk)
        if not self._taker.in_turn:
            return
        if self._audible and self._taker.is_loud:
            self._talk_over()
        sound_s = self._taker.speech_s
        if self._settings.partials and self._taker.is_loud and sound_s - self._partial_at_s >= self._settings.partial_s:
            self._partial_at_s = sound_s
            self._hearing.follow(Unfinished(self._turn, self._taker.sound))

    def _talk_over(self) -> None:
        """Speech over the answer: quieter at once, silent when it goes on."""
        if not self._ducked:
            self._ducked = True
            self._mouth.duck(True)
            self._tell(SpeakingDucked(self._turn, True))
        if not self._mouth.is_held and self._taker.speech_s >= self._settings.interrupt_s:
            self._mouth.hold()
            self._tell(SpeakingPaused(self._turn, True))

    def _happen(self, event: TurnEvent, chunk: AudioChunk) -> None:
        match event:
            case Began(reopened):
                self._begin(reopened, chunk)
            case Paused(sound, revision, speech_end_ns, probability):
                self._tell(SpeechPaused(self._turn, revision, probability))
                self._draft = Draft(
                    self._turn,
                    revision,
                    sound,
                    speech_end_ns,
                    speech_start_ns=self._speech_start_ns,
                    wake_ns=self._wake_ns,
                    soft_end_ns=time.monotonic_ns(),
                    last_partial_ns=self._last_partial_ns,
                    speech_s=self._taker.speech_s,
                    over=self._over,
                    picture=self._eyes.seen(),
                )
                self._eyes.rest()  # the answer is made from what was seen by now, and wants the processor
                self._hearing.take(self._draft)
            case Resumed(revision):
                self._tell(SpeechResumed(self._turn, revision))
                self._drop_draft()
                self._eyes.attend()
            case Ended(revision):
                self._tell(SpeechEnded(self._turn, revision))
                if self._draft is None:  # it was nothing that wants an answer
                    self._let_speak()
                else:
                    self._draft.end_of_turn_ns = time.monotonic_ns()
                    self._listen_s = 0.0
                    self._commit(self._draft)
                self._settle("question")
            case Dismissed():
                self._let_speak()
                self._settle("only a noise")

    def _begin(self, reopened: bool, chunk: AudioChunk) -> None:
        if reopened:
            self._retract()
        else:
            self._turn += 1
            self._speech_start_ns = chunk.timestamp_ns
            self._over = self._answering.answer.text if self._answering is not None and self._audible else ""
        self._partial_at_s, self._last_partial_ns = 0.0, None
        self._tell(SpeechBegan(self._turn, reopened))
        self._eyes.attend()
        self._settle("speech")

    # What becomes of a draft.

    def understand(self, draft: Draft, text: str) -> None:
        """The words of a draft have been understood."""
        with self._lock:
            if draft.is_stale:
                return
            if draft.wake_ns is not None and self._wake_word is not None:
                text = without_wake_word(text, self._wake_word.phrase)
            kind = self._kind(draft, text)
            self._tell(QuestionHeard(draft.turn, draft.revision, text, kind))
            draft.question = text
            if kind in (BACKCHANNEL, ECHO):
                self._let_pass(draft)
            elif kind == STOP:
                self._let_pass(draft)
                self.stop()
            else:
                if kind == REPEAT:
                    draft.reply = self._history[-1].answer if self._history else NOTHING_TO_REPEAT
                draft.understood = True
                self._thinking.take(draft)
                self._commit(draft)

    def _kind(self, draft: Draft, text: str) -> str:
        if is_echo(text, draft.over):
            return ECHO
        kind = meaning(text)
        # Whatever the echo canceller leaves of the answer's beginning, a transcriber makes words of.
        noise = draft.over and draft.speech_s < _WORD_OVER_ANSWER_S
        return BACKCHANNEL if kind == QUESTION and noise else kind

    def partly_understood(self, turn: int, partial: Partial) -> None:
        with self._lock:
            if turn == self._turn and self._taker.in_turn:
                self._last_partial_ns = time.monotonic_ns()
                self._tell(PartialHeard(turn, partial.stable, partial.tentative))

    def _commit(self, draft: Draft) -> None:
        """Let the answer be heard as soon as the turn is over and has been understood, in whichever order."""
        if draft.is_committed and draft.understood and draft is not self._answering:
            self._mouth.play(draft.answer)  # ends the answer before, if it was interrupted
            self._answering, self._audible, self._ducked = draft, False, False
            if self._draft is draft:  # and not one of a later turn
                self._draft = None
            self._settle("question")

    def _let_pass(self, draft: Draft) -> None:
        """What was said needs no answer."""
        draft.is_stale = True
        if self._draft is draft:
            self._draft = None
        self._taker.settle()
        waited_for = self._wake_ns is not None and draft.wake_ns == self._wake_ns and not self._mouth.is_busy
        self._let_speak()
        if waited_for and not draft.question:  # the wake word alone: the question is still to come
            self._wake_ns = draft.wake_ns
            self._listen(self._settings.patience_s, "wake word")
        elif not self._mouth.is_busy:
            self._rest("nothing was asked")

    def _drop_draft(self) -> None:
        if self._draft is not None:
            self._draft.is_stale = True
            self._draft = None
            self._thinking.drop()

    def _retract(self) -> None:
        """The answer that was just begun belongs to half a question: it never happened."""
        self._drop_draft()
        if self._answering is not None:
            self._answering.is_stale = self._answering.is_retracted = True
            self._thinking.drop()
            self._mouth.stop()

    def _let_speak(self) -> None:
        """Nobody interrupts any more: back to full volume, and on from where it was held."""
        if self._mouth.is_held:
            self._mouth.go_on()
            self._tell(SpeakingPaused(self._turn, False))
        if self._ducked:
            self._ducked = False
            self._mouth.duck(False)
            self._tell(SpeakingDucked(self._turn, False))

    def fail(self, draft: Draft | None) -> None:
        """Somebody failed on this draft: say so rather than nothing."""
        with self._lock:
            if draft is None or draft.is_stale:
                return
            if draft.reply:  # even that could not be said
                draft.answer.finish()
                return
            draft.reply, draft.understood = WENT_WRONG, True
            self._thinking.take(draft)
            self._commit(draft)

    # What the mouth reports.

    def speaking_began(self, answer: AnswerSound) -> None:
        with self._lock:
            if self._answering is not None and self._answering.answer is answer:
                self._audible = True
                self._tell(SpeakingBegan(self._answering.turn))
                self._settle("answer")

    def speaking_ended(self, answer: AnswerSound, heard: Heard) -> None:
        with self._lock:
            draft = self._answering
            if draft is None or draft.answer is not answer:
                return
            audible = self._audible
            self._answering, self._audible, self._ducked = None, False, False
            if audible:
                self._tell(SpeakingEnded(draft.turn, heard.said, heard.interrupted))
            if draft.is_retracted:
                return
            trace = draft.record(wall_clock(), heard)
            if not draft.reply:
                self._history.append(Exchange(draft.question, heard.said))
            self._remember(trace)
            self._tell(TurnDone(draft.turn, draft.question, heard.said, trace))
            if not self._taker.in_turn and self._draft is None:
                self._wake_ns = None
                self._taker.settle()
                if heard.interrupted:
                    self._rest("stopped")
                else:
                    self._listen_s = max(self._settings.follow_up_s, FRAME_S)
                    self._eyes.rest()
                    self._settle("answer over")

    # What the wearer does with hands.

    def press(self) -> None:
        """The button: stops an answer, ends a question, or begins one."""
        with self._lock:
            if not self._awake:
                return
            if self._taker.in_turn:
                for event in self._taker.end_now():
                    self._happen(event, self._recent[-1])
            elif self._answering is not None or self._draft is not None:
                self.stop()
            else:
                self._listen(self._settings.patience_s, "button")

    def hold(self, held: bool) -> None:
        """Push to talk."""
        with self._lock:
            if not self._awake or held == self._button_held:
                return
            self._button_held = held
            if held:
                self.stop()
                self._listen(self._settings.patience_s, "button")
            else:
                self._listen_s = 0.0
                for event in self._taker.end_now():
                    self._happen(event, self._recent[-1])
                self._settle("button")

    def ask(self, question: str) -> None:
        """A question in writing."""
        with self._lock:
            self._drop_draft()
            self._eyes.attend()
            self._turn += 1
            now_ns = time.monotonic_ns()
            draft = Draft(self._turn, 1, question, now_ns, end_of_turn_ns=now_ns, question=question, understood=True)
            self._tell(QuestionHeard(draft.turn, 1, question, QUESTION))
            self._thinking.take(draft)
            self._commit(draft)

    def announce(self, text: str) -> None:
        """Say something of its own accord, unless somebody is speaking."""
        with self._lock:
            if self._answering is None and self._draft is None and not self._taker.in_turn:
                now_ns = time.monotonic_ns()
                draft = Draft(self._turn, 0, "", now_ns, end_of_turn_ns=now_ns, understood=True, reply=text)
                self._thinking.take(draft)
                self._commit(draft)

    def stop(self) -> None:
        """Fall silent and forget what was being answered."""
        with self._lock:
            self._drop_draft()
            self._thinking.drop()
            if self._answering is not None:
                self._answering.is_stale = True
            self._mouth.stop()

    def repeat(self) -> None:
        """Say the last answer again."""
        with self._lock:
            self.stop()
            self.announce(self._history[-1].answer if self._history else NOTHING_TO_REPEAT)

    # Coming and going.

    def wake(self, awake: bool, reason: str) -> None:
        """Begin to hear, or stop hearing and fall silent."""
        with self._lock:
            if awake == self._awake:
                return
            self._awake = awake
            self._settle(reason)
            if not awake:
                self.stop()
            self._button_held = False
            self._listen_s = 0.0
            self._taker.reset()
            if self._wake_word is not None:
                self._wake_word.reset()
            self._settle(reason)

    def trouble(self, part: str, over: bool) -> None:
        """A part stopped working, or works again."""
        with self._lock:
            (self._troubles.discard if over else self._troubles.add)(part)
            if not over and part == "microphone":
                self._drop_draft()
                self._taker.reset()
            self._settle(f"{part} is back" if over else f"{part} lost")

    def _listen(self, patience_s: float, reason: str) -> None:
        self._taker.reset()
        self._listen_s = patience_s
        self._eyes.attend()
        self._settle(reason)

    def _rest(self, reason: str) -> None:
        self._listen_s, self._wake_ns = 0.0, None
        if self._wake_word is not None:
            self._wake_word.reset()
        self._eyes.rest()
        self._settle(reason)

    def _settle(self, reason: str) -> None:
        state = self._present_state()
        if state != self._state:
            self._state = state
            self._tell(StateChanged(state, reason))

    def _present_state(self) -> State:
        if not self._awake:
            return State.ASLEEP
        if self._answering is not None:
            return State.SPEAKING if self._audible else State.THINKING
        if self._taker.in_turn:
            return State.LISTENING
        if self._draft is not None and self._draft.is_committed:
            return State.THINKING
        if self._troubles:
            return State.DEGRADED
        return State.LISTENING if self._listen_s > 0 or self._button_held else State.IDLE
