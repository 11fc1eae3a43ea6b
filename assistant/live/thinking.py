"""Making answers, on a thread of its own: the picture, the words, and clause by clause their sound."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from lorgnette.assistant.live.draft import Draft
from lorgnette.assistant.live.events import AnswerBegan, AnswerText, ClauseReady, LiveEvent, Trouble
from lorgnette.assistant.live.eyes import EyesShut
from lorgnette.assistant.live.mailbox import Mailbox
from lorgnette.assistant.live.words import EYES_SHUT, NO_ANSWER, NO_CAMERA, WENT_WRONG
from lorgnette.assistant.trace import TurnTrace, wall_clock
from lorgnette.assistant.turn import Answered, Question, Spoken, Turns, Written
from lorgnette.device.errors import DeviceError, LorgnetteError
from lorgnette.device.frame import Frame
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Exchange


class Thinking:
    """`run` is the work of its thread. Every draft that does not become stale ends with sound, if only with the reason
    why there is no answer; `failed` hears of a camera that did not give a picture."""

    def __init__(
        self,
        turns: Turns,
        picture: Callable[[], Frame],
        history: Callable[[], tuple[Exchange, ...]],
        tell: Callable[[LiveEvent], None],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._turns = turns
        self._picture = picture
        self._history = history
        self._tell = tell
        self._failed = failed
        self._work: Mailbox[Draft] = Mailbox(1)
        self._cancel = CancelScope()
        self.current: Draft | None = None

    def take(self, draft: Draft) -> None:
        """Answer this in place of whatever is being answered."""
        self._cancel.next()
        self._work.put(draft)

    def drop(self) -> None:
        """Leave off whatever is being answered."""
        self._cancel.next()

    def close(self) -> None:
        self._cancel.next()
        self._work.close()

    def run(self) -> None:
        """Work until closed. Raises what is no error of ours; `current` is then the draft that it failed on."""
        for draft in self._work:
            if draft.is_stale:
                continue
            self.current = draft
            if draft.reply:
                self.say(draft, draft.reply)
            else:
                self._answer(draft)
            draft.answer.finish()
            self.current = None

    def say(self, draft: Draft, text: str) -> None:
        """Say `text` in place of an answer."""
        started_ns = time.monotonic_ns()
        trace = TurnTrace(wall_clock(), "", "answered", spoken=True, asked_at_ns=draft.speech_end_ns)
        for number, sound in enumerate(self._turns.synthesizer().synthesize(text)):
            if draft.is_stale:
                return
            trace = trace if trace.first_audio_at_ns else replace(trace, first_audio_at_ns=time.monotonic_ns())
            self._add(draft, text, sound, number == 0)
        draft.trace = replace(trace, first_clause_at_ns=started_ns, last_audio_at_ns=time.monotonic_ns())

    def _answer(self, draft: Draft) -> None:
        try:
            draft.picture = draft.picture or self._picture()
        except EyesShut:
            return self._say_why(draft, EYES_SHUT)
        except DeviceError as error:
            self._failed("camera", error)
            return self._say_why(draft, NO_CAMERA)
        asked_ns, taken_ns = draft.speech_end_ns, draft.picture.timestamp_ns
        self._tell(AnswerBegan(draft.turn, draft.revision, draft.picture, (asked_ns - taken_ns) / 1e9))
        try:
            self._reply(draft, draft.picture)
        except LorgnetteError as error:
            self._tell(Trouble("think", error.message, error.hint))
            return self._say_why(draft, WENT_WRONG)
        if not draft.is_stale and draft.answer.length == 0:
            self.say(draft, NO_ANSWER)

    def _reply(self, draft: Draft, picture: Frame) -> None:
        question = Question(draft.question, picture, self._history(), draft.speech_end_ns)
        for event in self._turns.take(question, self._cancel):
            match event:
                case Written(token):
                    self._tell(AnswerText(draft.turn, draft.revision, token.text))
                case Spoken(sentence, sound, begins):
                    self._add(draft, sentence, sound, begins)
                case Answered(_, trace, _):
                    draft.trace = trace
            if draft.is_stale:
                self._cancel.next()

    def _add(self, draft: Draft, text: str, sound: AudioChunk, begins: bool) -> None:
        draft.answer.add(text, sound, begins)
        self._tell(ClauseReady(draft.turn, draft.revision, text if begins else "", sound.duration_s))

    def _say_why(self, draft: Draft, reason: str) -> None:
        self.say(draft, reason)
        if draft.trace is not None:
            draft.trace = replace(draft.trace, outcome="failed")
