"""Understanding what was said, on a thread of its own: whole turns, and while nobody waits for those, what there is
of one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lorgnette.assistant.live.draft import Draft
from lorgnette.assistant.live.mailbox import Mailbox
from lorgnette.assistant.live.words import OVER_ANSWER_HINT
from lorgnette.device.sound import AudioChunk
from lorgnette.speech.cascade import attempts, hasty
from lorgnette.speech.rolling_transcript import Partial, RollingTranscript
from lorgnette.speech.transcriber import Transcriber


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A turn that goes on: its sound so far."""

    turn: int
    sound: AudioChunk


class Hearing:
    """`run` is the work of its thread. `understood` is called with each draft and its words, `partly` with what was
    understood of a turn that goes on."""

    def __init__(
        self,
        transcriber: Callable[[], Transcriber],
        language: str | None,
        understood: Callable[[Draft, str], None],
        partly: Callable[[int, Partial], None],
    ) -> None:
        self._transcriber = transcriber
        self._language = language
        self._understood = understood
        self._partly = partly
        # Revisions of one turn make one another stale; more turns than that nobody has the breath to ask.
        self._work: Mailbox[Draft | Unfinished] = Mailbox(8)
        self._rolling: tuple[int, RollingTranscript] | None = None
        self.current: Draft | None = None

    def take(self, draft: Draft) -> None:
        """Understand this as soon as possible."""
        self._work.put(draft)

    def follow(self, unfinished: Unfinished) -> None:
        """Understand this if there is nothing else to do."""
        if self._work.is_empty():
            self._work.put(unfinished)

    def close(self) -> None:
        self._work.close()

    def run(self) -> None:
        """Work until closed. Raises what the transcriber raises; `current` is then the draft that it failed on."""
        for work in self._work:
            if isinstance(work, Unfinished):
                self._partly(work.turn, self._follow(work))
            elif not work.is_stale:
                self._understand(work)

    def _understand(self, draft: Draft) -> None:
        assert isinstance(draft.asked, AudioChunk)
        self.current = draft
        draft.transcribe_start_ns = time.monotonic_ns()
        hint = OVER_ANSWER_HINT if draft.over else None
        for attempt in attempts(self._transcriber()):
            heard = None if draft.is_stale else attempt(draft.asked, self._language_of(draft.turn), hint)
            if heard is not None:
                draft.transcript_ns, draft.log_probability = time.monotonic_ns(), heard.log_probability
                self.current = None
                return self._understood(draft, heard.text)
        self.current = None

    def _language_of(self, turn: int) -> str | None:
        """The language, where it is given, or was found out while the turn went on."""
        rolling = self._rolling[1] if self._rolling is not None and self._rolling[0] == turn else None
        return self._language or (rolling.language if rolling is not None else None)

    def _follow(self, work: Unfinished) -> Partial:
        if self._rolling is None or self._rolling[0] != work.turn:
            self._rolling = (work.turn, RollingTranscript(hasty(self._transcriber()), self._language))
        return self._rolling[1].update(work.sound)
