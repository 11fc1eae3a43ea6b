"""Quotations that cannot lie: between double quotes an answer may only say what is written in the picture.

At each step the tokens that would leave every line are ruled out, so that a quote, once opened, is one of the lines
from its first letter to its last, whatever the model's own idea of spelling; where nothing is written none can open.
And what a sign says is only ever said in quotes: behind "says" one has to open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from lorgnette.llm.vocabulary import Vocabulary

Mask = npt.NDArray[np.bool_]
# Inside a quote: for each line that it may still be, the bytes to come. None outside, empty where there is no way on.
_Rest = tuple[bytes, ...] | None
_SAYS = b"says"


class QuoteConstraint:
    """Watches one answer. `lines` hold no double quotes (`SceneText.quotable`); `size` is the number of logits.

    A quote closes where a line ends, and only outside of quotes can the answer end.
    """

    def __init__(self, vocabulary: Vocabulary, lines: Iterable[str], size: int, stop_ids: Sequence[int]) -> None:
        self._vocabulary = vocabulary
        self._lines = tuple(dict.fromkeys(line.encode() for line in lines if line))
        self._stop_ids = list(stop_ids)
        self._size = size
        self._rest: _Rest = None
        self._outside = np.arange(size) < len(vocabulary.tokens)
        self._allow_quotes(self._outside)
        self._opening = np.zeros(size, np.bool_)
        for token_id in vocabulary.with_quote:
            opens = (vocabulary.tokens[token_id] or b"").lstrip().startswith(b'"')
            self._opening[token_id] = opens and self._outside[token_id]
        self._end = b""  # of what has been said

    def allowed(self) -> Mask:
        """bool [size]: which tokens may come next. Not to be changed by the caller."""
        if self._rest is None:
            says = self._end.rstrip().endswith(_SAYS) and self._opening.any()
            return self._opening if says else self._outside
        mask = np.zeros(self._size, np.bool_)
        ids, longest = self._vocabulary.ids, self._vocabulary.longest
        for rest in self._rest:
            spelled = (ids.get(rest[:end]) for end in range(1, min(len(rest), longest) + 1))
            mask[[token_id for token_id in spelled if token_id is not None]] = True
        self._allow_quotes(mask)
        if not mask.any():  # a vocabulary that cannot spell the line: end the answer rather than say something else
            mask[self._stop_ids] = True
        return mask

    def push(self, token_id: int) -> None:
        """Take note of the token that was chosen."""
        piece = self._vocabulary.tokens[token_id] or b""
        self._rest = self._after(self._rest, piece)
        self._end = (self._end + piece)[-len(_SAYS) - 1 :]

    def _allow_quotes(self, mask: Mask) -> None:
        for token_id in self._vocabulary.with_quote:
            mask[token_id] = self._after(self._rest, self._vocabulary.tokens[token_id] or b"") != ()

    def _after(self, rest: _Rest, piece: bytes) -> _Rest:
        """What may come when `piece` has come."""
        said, quote, more = piece.partition(b'"')
        if rest is None:
            return self._after(self._lines, more) if quote else None
        rest = tuple(line[len(said) :] for line in rest if line.startswith(said))
        if not quote:
            return rest
        return self._after(None, more) if b"" in rest else ()
