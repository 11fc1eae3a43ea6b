"""The turn that the wearer has: what is known of it, until it becomes a draft."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lorgnette.assistant.live.draft import Draft
from lorgnette.device.frame import Frame
from lorgnette.speech.turn_taking import Paused


@dataclass(slots=True)
class Asking:
    """`turn` counts from 1. `over` are the words of the answer that was being heard when speech began; the last
    partial transcript was made when there were `partial_at_s` seconds of speech. Times are monotonic ns."""

    turn: int = 0
    start_ns: int | None = None
    over: str = ""
    partial_at_s: float = 0.0
    last_partial_ns: int | None = None

    def following(self, start_ns: int | None = None, over: str = "") -> Asking:
        """The turn after this one."""
        return Asking(self.turn + 1, start_ns, over)

    def draft(self, pause: Paused, speech_s: float, woken_ns: int | None, picture: Frame | None) -> Draft:
        """What was said up to a soft end."""
        return Draft(
            self.turn,
            pause.revision,
            pause.sound,
            pause.speech_end_ns,
            speech_start_ns=self.start_ns,
            wake_ns=woken_ns,
            soft_end_ns=time.monotonic_ns(),
            last_partial_ns=self.last_partial_ns,
            speech_s=speech_s,
            over=self.over,
            picture=picture,
        )

    def draft_of_text(self, question: str) -> Draft:
        """A question in writing, which is a whole turn."""
        now_ns = time.monotonic_ns()
        return Draft(self.turn, 1, question, now_ns, end_of_turn_ns=now_ns, question=question)

    def draft_of_announcement(self, text: str) -> Draft:
        """Something that the assistant says of its own accord."""
        now_ns = time.monotonic_ns()
        return Draft(self.turn, 0, "", now_ns, end_of_turn_ns=now_ns, reply=text)
