"""What becomes of drafts: thrown away, taken back, or heard; and what an answer does when somebody talks over it.

At most two drafts matter: `waiting`, made of what was said last, and `given`, whose answer has the loudspeaker.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lorgnette.assistant.config import LiveConfig
from lorgnette.assistant.live.answer_sound import AnswerSound
from lorgnette.assistant.live.draft import Draft
from lorgnette.assistant.live.events import LiveEvent, SpeakingBegan, SpeakingDucked, SpeakingEnded, SpeakingPaused
from lorgnette.assistant.live.mouth import Heard, Mouth
from lorgnette.assistant.live.thinking import Thinking

_REOPENABLE_S = 0.8
"""Once so much of an answer was heard, speech is about the answer and does not go on with the question."""


class Replies:
    """Not safe to share: whoever holds it sees to it that one thread at a time is in it."""

    def __init__(
        self, thinking: Thinking, mouth: Mouth, tell: Callable[[LiveEvent], None], settings: LiveConfig
    ) -> None:
        self._thinking = thinking
        self._mouth = mouth
        self._tell = tell
        self._interrupt_s = settings.interrupt_s
        # What the canceller leaves of an answer's first sound must not open the question again.
        self._reopenable_s = _REOPENABLE_S if settings.echo == "headset" else 0.0
        self._ducked = False
        self.waiting: Draft | None = None
        self.given: Draft | None = None
        self.is_audible = False

    @property
    def is_busy(self) -> bool:
        """Whether there is something to be answered, or an answer that is not over."""
        return self.waiting is not None or self.given is not None

    @property
    def is_thinking(self) -> bool:
        """Whether somebody waits for an answer."""
        committed = self.waiting is not None and self.waiting.is_committed
        return committed or (self.given is not None and not self.is_audible)

    @property
    def closes_question(self) -> bool:
        """Whether speech from now on is no part of the question."""
        return self.is_audible and self._mouth.heard_s >= self._reopenable_s

    @property
    def audible_text(self) -> str:
        """The words of the answer that is being heard; none where none is."""
        return self.given.answer.text if self.given is not None and self.is_audible else ""

    def answer(self, draft: Draft) -> None:
        """`draft` has been understood, and wants an answer."""
        draft.understood = True
        self._thinking.take(draft)
        self._give(draft)

    def commit(self) -> None:
        """The waiting draft is the whole turn: its answer may be heard, as soon as it has been understood."""
        if self.waiting is not None:
            self.waiting.end_of_turn_ns = time.monotonic_ns()
            self._give(self.waiting)

    def _give(self, draft: Draft) -> None:
        if draft.is_committed and draft.understood and draft is not self.given:
            self._mouth.play(draft.answer)  # ends the answer before, if it was interrupted
            self.given, self.is_audible, self._ducked = draft, False, False
            if self.waiting is draft:  # and not one of a later turn
                self.waiting = None

    def pass_over(self, draft: Draft) -> None:
        """What was said wants no answer."""
        draft.is_stale = True
        if self.waiting is draft:
            self.waiting = None

    def drop(self) -> None:
        """The waiting draft is not what was asked."""
        if self.waiting is not None:
            self.pass_over(self.waiting)
            self._thinking.drop()

    def retract(self) -> None:
        """The answer that was just begun belongs to half a question: it never happened."""
        if self.given is not None:
            self.given.is_retracted = True
        self.stop()

    def stop(self) -> None:
        """Fall silent and forget what was being answered."""
        self.drop()
        self._thinking.drop()
        if self.given is not None:
            self.given.is_stale = True
        self._mouth.stop()

    def suspect(self, turn: int, suspected: bool) -> None:
        """Whether somebody may be beginning to talk over the answer, if one is heard: quieter until that is known."""
        if self.is_audible and not self._mouth.is_held:
            self._duck(turn, suspected)

    def talk_over(self, turn: int, speech_s: float) -> None:
        """Speech over the answer, if one is heard: quieter at once, silent when it goes on."""
        if self.is_audible:
            self._duck(turn, True)
        if speech_s >= self._interrupt_s:
            self.hold(turn)

    def hold(self, turn: int) -> None:
        """Let the answer wait, if one is heard."""
        if self.is_audible and not self._mouth.is_held:
            self._mouth.hold()
            self._tell(SpeakingPaused(turn, True))

    def go_on(self, turn: int) -> None:
        """Nobody talks over it any more: back to full volume, and on from where it was held."""
        if self._mouth.is_held:
            self._mouth.go_on()
            self._tell(SpeakingPaused(turn, False))
        self._duck(turn, False)

    def _duck(self, turn: int, ducked: bool) -> None:
        if ducked != self._ducked:
            self._ducked = ducked
            self._mouth.duck(ducked)
            self._tell(SpeakingDucked(turn, ducked))

    def began(self, answer: AnswerSound) -> None:
        """The mouth has begun with an answer."""
        if self.given is not None and self.given.answer is answer:
            self.is_audible = True
            self._tell(SpeakingBegan(self.given.turn))

    def ended(self, answer: AnswerSound, heard: Heard) -> Draft | None:
        """The mouth is done with an answer; the draft that it was given to, unless it was taken back."""
        draft = self.given
        if draft is None or draft.answer is not answer:
            return None
        audible, self.given, self.is_audible, self._ducked = self.is_audible, None, False, False
        if audible:
            self._tell(SpeakingEnded(draft.turn, heard.said, heard.interrupted))
        return None if draft.is_retracted else draft
