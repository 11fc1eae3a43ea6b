"""Who has the floor: from sounds and buttons to drafts, and from drafts to an answer that is heard.

Driven by the microphone, a chunk at a time, so its clock is that of the sound: everything it waits for is counted in
chunks. No threads and no devices are in here, and nothing in here waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live import events, words
from lorgnette.assistant.live.answer_sound import AnswerSound
from lorgnette.assistant.live.asking import Asking
from lorgnette.assistant.live.attention import Attention
from lorgnette.assistant.live.draft import Draft
from lorgnette.assistant.live.events import LiveEvent, State
from lorgnette.assistant.live.eyes import Eyes
from lorgnette.assistant.live.hearing import Hearing, Unfinished
from lorgnette.assistant.live.history import History
from lorgnette.assistant.live.mouth import Heard, Mouth
from lorgnette.assistant.live.replies import Replies
from lorgnette.assistant.live.thinking import Thinking
from lorgnette.assistant.live.unfinished import is_unfinished
from lorgnette.assistant.trace import TurnTrace, wall_clock
from lorgnette.device.sound import AudioChunk
from lorgnette.speech.rolling_transcript import Partial
from lorgnette.speech.turn_taking import Began, Dismissed, Ended, Judged, Paused, Resumed, TurnEvent, TurnTaker
from lorgnette.speech.wake_word import WakeWordDetector


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
        self._attention = Attention(wake_word, settings)
        self._settings = settings
        self._tell = tell
        self._remember = remember
        self._lock = threading.RLock()
        self.state = State.ASLEEP
        self._awake = False
        self._troubles: set[str] = set()
        self._asking = Asking()
        self.history = History(settings.remember)

    def connect(self, eyes: Eyes, hearing: Hearing, thinking: Thinking, mouth: Mouth) -> None:
        self._eyes, self._hearing = eyes, hearing
        self._replies = Replies(thinking, mouth, self._tell, self._settings)

    def hear(self, chunk: AudioChunk) -> None:
        """The next 512 samples at 16 kHz, free of the assistant's own voice."""
        with self._lock:
            if not self._awake:
                return
            if self._attention.hear(chunk):
                return self._be_woken()
            if not (self._attention.is_open or self._taker.in_turn or self._replies.is_busy):
                return
            self._take_turn(chunk)
            if not self._taker.in_turn and self._attention.pass_time():
                self._rest("nobody spoke")

    def _be_woken(self) -> None:
        """The wake word, be it over an answer: what follows is a question."""
        self._replies.stop()
        self._attention.woken_ns = time.monotonic_ns()
        self._listen("wake word")
        for earlier in self._attention.recent:
            self._take_turn(earlier)

    def _take_turn(self, chunk: AudioChunk) -> None:
        if self._replies.closes_question:
            self._taker.settle()
        for event in self._taker.push(chunk):
            self._happen(event)
        if not self._taker.in_turn:
            return self._replies.suspect(self._asking.turn, self._taker.may_be_speech)
        if not self._taker.is_loud:
            return
        speech_s = self._taker.speech_s
        self._replies.talk_over(self._asking.turn, speech_s)
        if self._settings.partials and speech_s - self._asking.partial_at_s >= self._settings.partial_s:
            self._asking.partial_at_s = speech_s
            self._hearing.follow(Unfinished(self._asking.turn, self._taker.sound))

    def _happen(self, event: TurnEvent) -> None:
        turn = self._asking.turn
        match event:
            case Began(reopened, at_ns):
                self._begin(reopened, at_ns)
            case Judged(revision, probability):
                self._tell(events.SpeechJudged(turn, revision, probability))
            case Paused(revision=revision):
                self._tell(events.SpeechPaused(turn, revision))
                self._replies.hold(turn)  # until it is known whether that was a "stop"
                woken_ns, seen = self._attention.woken_ns, self._eyes.seen()
                self._replies.waiting = draft = self._asking.draft(event, self._taker.speech_s, woken_ns, seen)
                self._eyes.rest()  # the answer is made from what was seen by now, and wants the processor
                self._hearing.take(draft)
            case Resumed(revision):
                self._tell(events.SpeechResumed(turn, revision))
                self._replies.drop()
                self._eyes.attend()
            case Ended(revision):
                self._tell(events.SpeechEnded(turn, revision))
                if self._replies.waiting is None:  # it was nothing that wants an answer
                    self._replies.go_on(turn)
                else:
                    self._attention.wait(0.0)
                    self._replies.commit()
                self._settle("question")
            case Dismissed():
                self._replies.go_on(turn)
                self._settle("only a noise")

    def _begin(self, reopened: bool, at_ns: int) -> None:
        if reopened:
            self._replies.retract()
            self._asking.partial_at_s = 0.0
        else:
            self._asking = self._asking.following(at_ns, self._replies.audible_text)
        self._tell(events.SpeechBegan(self._asking.turn, reopened))
        self._eyes.attend()
        self._settle("speech")

    # What the other threads bring.

    def understand(self, draft: Draft, text: str) -> None:
        """The words of a draft have been understood."""
        with self._lock:
            if draft.is_stale:
                return
            if draft.wake_ns is not None:
                text = words.without_wake_word(text, self._attention.phrase)
            kind = words.kind(text, draft.over, draft.speech_s, draft.log_probability)
            self._tell(events.QuestionHeard(draft.turn, draft.revision, text, kind))
            draft.question = text
            self._weigh(draft)
            if kind in (words.QUESTION, words.REPEAT):
                draft.reply = self.history.last_answer if kind == words.REPEAT else ""
                self._replies.answer(draft)
            else:
                self._let_pass(draft)
                if kind == words.STOP:
                    self._replies.stop()
            self._settle("question")

    def _weigh(self, draft: Draft) -> None:
        """It may have sounded finished, and cannot have been: then the wearer gets the time to go on."""
        is_last = (draft.turn, draft.revision) == (self._asking.turn, self._taker.revision)
        if is_last and self._taker.weigh(is_unfinished(draft.question)):
            draft.end_of_turn_ns = None
            self._tell(events.SpeechPaused(draft.turn, draft.revision))

    def _let_pass(self, draft: Draft) -> None:
        """What was said wants no answer."""
        self._replies.pass_over(draft)
        self._taker.settle()
        self._replies.go_on(self._asking.turn)
        wake_word_alone = draft.wake_ns is not None and draft.wake_ns == self._attention.woken_ns and not draft.question
        if self._replies.is_busy or draft.turn != self._asking.turn:  # the wearer has gone on before that was known
            self._attention.wait_at_least(self._settings.patience_s if wake_word_alone else 0.0)
        elif wake_word_alone:
            self._listen("wake word")
        else:
            self._rest("nothing was asked")

    def partly_understood(self, turn: int, partial: Partial) -> None:
        with self._lock:
            if turn == self._asking.turn and self._taker.in_turn:
                self._asking.last_partial_ns = time.monotonic_ns()
                self._tell(events.PartialHeard(turn, partial.stable, partial.tentative))

    def fail(self, draft: Draft | None) -> None:
        """Somebody failed on this draft: say so rather than nothing."""
        with self._lock:
            if draft is not None and draft.reply:  # even that could not be said
                draft.answer.finish()
            elif draft is not None and not draft.is_stale:
                draft.reply = words.WENT_WRONG
                self._replies.answer(draft)
                self._settle("a part failed")

    def speaking_began(self, answer: AnswerSound) -> None:
        with self._lock:
            self._replies.began(answer)
            self._settle("answer")

    def speaking_ended(self, answer: AnswerSound, heard: Heard) -> None:
        with self._lock:
            if (draft := self._replies.ended(answer, heard)) is None:
                return
            trace = draft.record(wall_clock(), heard)
            self.history.add(draft, heard)
            if draft.asked:
                self._remember(trace)
            self._tell(events.TurnDone(draft.turn, draft.question, heard.said, trace))
            if not self._taker.in_turn and not self._replies.is_busy:
                self._taker.settle()
                if heard.interrupted:
                    self._rest("stopped")
                else:
                    self._attention.follow_up()
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
                    self._happen(event)
            elif self._replies.is_busy:
                self._replies.stop()
            else:
                self._listen("button")

    def hold(self, held: bool) -> None:
        """Push to talk."""
        with self._lock:
            if not self._awake or held == self._attention.button_held:
                return
            self._attention.button_held = held
            if held:
                self._replies.stop()
                self._listen("button")
            else:
                self._attention.wait(0.0)
                for event in self._taker.end_now():
                    self._happen(event)
                self._settle("button")

    def ask(self, question: str) -> None:
        """A question in writing."""
        with self._lock:
            self._replies.drop()
            self._taker.reset()  # whatever is being said meanwhile is not it
            self._eyes.attend()
            self._asking = self._asking.following()
            self._tell(events.QuestionHeard(self._asking.turn, 1, question, words.QUESTION))
            self._replies.answer(self._asking.draft_of_text(question))
            self._settle("question")

    def announce(self, text: str) -> None:
        """Say something of its own accord, unless somebody is speaking."""
        with self._lock:
            if not self._replies.is_busy and not self._taker.in_turn:
                self._replies.answer(self._asking.draft_of_announcement(text))
                self._settle("announcement")

    def stop(self) -> None:
        """Fall silent and forget what was being answered."""
        with self._lock:
            self._replies.stop()

    def wake(self, awake: bool, reason: str) -> None:
        """Begin to hear, or stop hearing and fall silent."""
        with self._lock:
            if awake == self._awake:
                return
            self._awake = awake
            self._settle(reason)
            if not awake:
                self._replies.stop()
            self._attention.button_held = False
            self._attention.rest()
            self._taker.reset()

    def trouble(self, part: str, over: bool) -> None:
        """A part stopped working, or works again."""
        with self._lock:
            (self._troubles.discard if over else self._troubles.add)(part)
            if not over and part == "microphone":
                self._replies.drop()
                self._taker.reset()
            self._settle(f"{part} is back" if over else f"{part} lost")

    def _listen(self, reason: str) -> None:
        self._taker.reset()
        self._attention.wait(self._settings.patience_s)
        self._eyes.attend()
        self._settle(reason)

    def _rest(self, reason: str) -> None:
        self._attention.rest()
        self._eyes.rest()
        self._settle(reason)

    def _settle(self, reason: str) -> None:
        if (state := self._present_state()) != self.state:
            self.state = state
            self._tell(events.StateChanged(state, reason))

    def _present_state(self) -> State:
        if not self._awake:
            return State.ASLEEP
        if self._replies.is_audible:
            return State.SPEAKING
        if self._taker.in_turn:
            return State.LISTENING
        if self._replies.is_thinking:
            return State.THINKING
        if self._troubles:
            return State.DEGRADED
        return State.LISTENING if self._attention.is_waiting else State.IDLE
