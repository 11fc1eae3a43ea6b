"""The conversation so far: what was asked, and what of the answers was really heard."""

from __future__ import annotations

from collections import deque

from lorgnette.assistant.live.draft import Draft
from lorgnette.assistant.live.mouth import Heard
from lorgnette.assistant.live.words import NOTHING_TO_REPEAT
from lorgnette.llm.engine import Exchange

_KEPT = 100


class History:
    """Keeps the last 100 exchanges. The model is shown the last `shown` of them."""

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self._exchanges: deque[Exchange] = deque(maxlen=_KEPT)

    def add(self, draft: Draft, heard: Heard) -> None:
        """An answer is over. What was said in place of one is no part of the conversation."""
        if not draft.reply:
            self._exchanges.append(Exchange(draft.question, heard.said))

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return tuple(self._exchanges)

    @property
    def last_answer(self) -> str:
        """What is said when somebody wants it repeated."""
        return self._exchanges[-1].answer if self._exchanges else NOTHING_TO_REPEAT

    def shown(self) -> tuple[Exchange, ...]:
        """What the model is shown."""
        return self.exchanges[-self._shown :] if self._shown else ()
