"""Token ids to text as they come, never half a character."""

from __future__ import annotations

from lorgnette.llm.tokenizer import Tokenizer

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Detokenizer:
    """Turns one answer's ids into text piece by piece.

    A byte-level token may end in the middle of a UTF-8 character; its text is then held back until the rest has come.
    The pieces of an answer, put together, are the text of all its ids (less an unfinished character at its end).
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # Ids from `_start` are decoded together and the text of those before `_shown` is cut off again, because some
        # decoders treat the first token of a text differently (SentencePiece drops its leading space).
        self._ids: list[int] = []
        self._start = 0
        self._shown = 0

    def push(self, token_id: int) -> str:
        """The text that became complete with `token_id`; empty when none did."""
        self._ids.append(token_id)
        before = self._tokenizer.decode(self._ids[self._start : self._shown])
        now = self._tokenizer.decode(self._ids[self._start :])
        if now.endswith(_REPLACEMENT) or len(now) <= len(before):
            return ""
        self._start, self._shown = self._shown, len(self._ids)
        return now[len(before) :]
