"""Several questions about one photograph in one sequence: they share its image prefix, answers share their question.

A sequence is a tree of segments. The image prefix is the root, a question hangs below it, every answer below its
question. A token sees its own segment up to itself and the segments above it, and its position counts from the root
along that path, so each answer is trained exactly as if it stood alone after its question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from lorgnette.llm.evaluation.caption_questions import Question

USER = "<|im_start|>user\n"
AFTER_IMAGE = "\n"
ASSISTANT = "<|im_end|>\n<|im_start|>assistant\n"
STOP = "<|im_end|>"
_DECISION_WEIGHT = 2.0  # a yes or no is one token among many words; it counts for two


@dataclass(frozen=True, slots=True)
class PackedPhoto:
    """One sequence of `length` tokens.

    `ids` int64 [length] (image places hold 0), `positions` int64 [length], `sees` bool [length, length] (row sees
    column); `at`, `targets`, `weights` [n]: the hidden state at `at[i]` should predict `targets[i]`.
    """

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    sees: npt.NDArray[np.bool_]
    at: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


class Packer:
    """Packs questions into sequences of a fixed length; `image_start` is where the image tokens stand."""

    def __init__(self, tokenizer: Tokenizer, image_tokens: int, length: int) -> None:
        self._tokenizer = tokenizer
        self._length = length
        user = self.encode(USER)
        self.image_start = len(user)
        self._prefix = [*user, *([0] * image_tokens)]
        self._stop = self.encode(STOP)

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def question_ids(self, text: str) -> list[int]:
        return self.encode(AFTER_IMAGE + text + ASSISTANT)

    def answer_ids(self, text: str) -> list[int]:
        return self.encode(text) + self._stop

    def pack(self, questions: Sequence[Question]) -> PackedPhoto:
        """As many of `questions` as fit, in order; an answer that does not fit is left out with what follows it."""
        ids = np.zeros(self._length, np.int64)
        positions = np.zeros(self._length, np.int64)
        sees = np.eye(self._length, dtype=bool)  # padding sees itself, so that its softmax is defined
        at: list[int] = []
        targets: list[int] = []
        weights: list[float] = []
        used = 0

        def append(segment: list[int], above: list[slice], first_position: int) -> slice:
            nonlocal used
            place = slice(used, used + len(segment))
            ids[place] = segment
            positions[place] = np.arange(first_position, first_position + len(segment))
            sees[place, place] = np.tri(len(segment), dtype=bool)
            for ancestor in above:
                sees[place, ancestor] = True
            used = place.stop
            return place

        root = append(self._prefix, [], 0)
        for question in questions:
            asked = self.question_ids(question.text)
            answers = [self.answer_ids(answer) for answer in question.answers]
            if used + len(asked) + len(answers[0]) - 1 > self._length:
                continue
            place = append(asked, [root], root.stop)
            for answer in answers:
                if used + len(answer) - 1 > self._length:
                    break
                told = append(answer[:-1], [root, place], root.stop + len(asked))
                at += [place.stop - 1, *range(told.start, told.stop)]
                targets += answer
                weight = _DECISION_WEIGHT if question.kind == "presence" else 1.0
                weights += [weight] + [1.0] * (len(answer) - 1)
        return PackedPhoto(ids, positions, sees, np.array(at), np.array(targets), np.array(weights, np.float32))
