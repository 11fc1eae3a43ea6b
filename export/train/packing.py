"""Several lessons about one photograph in one sequence: they share its image prefix, answers share their question.

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

from lorgnette.export.embedded import AFTER_IMAGE, BEFORE_IMAGE, END_OF_ANSWER, END_OF_QUESTION
from lorgnette.export.train.lessons import Lesson

_SHORT = ("presence", "colour", "count", "activity", "label")


@dataclass(frozen=True, slots=True)
class PackedPhoto:
    """One sequence of `length` tokens.

    `ids` int64 [length] (image places hold 0), `positions` int64 [length], `sees` bool [length, length] (row sees
    column); `at`, `targets`, `weights`, `answer` [n]: the hidden state at `at[i]` should predict `targets[i]`, which is
    part of the answer `answer[i]`. Wrong answers have weight 0. `choices` lists for each lesson with wrong answers the
    numbers of its right answer and of the wrong ones.
    """

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    sees: npt.NDArray[np.bool_]
    at: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    answer: npt.NDArray[np.int64]
    choices: tuple[tuple[int, ...], ...]


class Packer:
    """Packs lessons into sequences of a fixed length; `image_start` is where the image tokens stand.

    `short_weight` is how much the first token of a short answer (a yes, a colour, a number, a verb, a name) counts.
    """

    def __init__(self, tokenizer: Tokenizer, image_tokens: int, length: int, short_weight: float = 2.0) -> None:
        self._tokenizer = tokenizer
        self._plain = Tokenizer.from_str(tokenizer.to_str())
        self._plain.encode_special_tokens = True  # in what people say and what signs say, nothing is special
        self.length = length
        self._short_weight = short_weight
        user = self._template(BEFORE_IMAGE)
        self.image_start = len(user)
        self.prefix = [*user, *([0] * image_tokens)]
        self._after_image, self._assistant = self._template(AFTER_IMAGE), self._template(END_OF_QUESTION)
        self._stop = self._template(END_OF_ANSWER)

    def _template(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _text(self, text: str) -> list[int]:
        return list(self._plain.encode(text, add_special_tokens=False).ids)

    def question_ids(self, question: str, scene_text: str = "") -> list[int]:
        """From behind the image to where the answer begins. Piece by piece, as the runtime does it."""
        block = self._text(scene_text) if scene_text else []
        return [*self._after_image, *block, *self._text(question), *self._assistant]

    def answer_ids(self, text: str) -> list[int]:
        return self._text(text) + self._stop

    def pack(self, lessons: Sequence[Lesson]) -> PackedPhoto:
        """As many of `lessons` as fit, in order; right answers that do not fit are left out one by one, wrong ones
        only all together."""
        tree = _Tree(self.length)
        root = tree.append(self.prefix, (), 0)
        for lesson in lessons:
            asked = self.question_ids(lesson.question, lesson.scene_text)
            right = [self.answer_ids(answer) for answer in lesson.answers]
            wrong = [self.answer_ids(answer) for answer in lesson.wrong]
            if tree.used + len(asked) + len(right[0]) - 1 > self.length:
                continue
            place = tree.append(asked, (root,), root.stop)
            weights = lesson.weights or (1.0,) * len(right)
            short = lesson.kind in _SHORT
            first = len(tree.answers)
            for ids, weight in zip(right, weights, strict=True):
                tree.answer(
                    ids, (root, place), weight * (self._short_weight if short else 1.0), 1.0 if short else weight
                )
            if wrong and tree.used + sum(len(ids) - 1 for ids in wrong) <= self.length:
                choice = [first, *range(len(tree.answers), len(tree.answers) + len(wrong))]
                for ids in wrong:
                    tree.answer(ids, (root, place), 0.0, 0.0)
                tree.choices.append(tuple(choice))
        return tree.packed()


class _Tree:
    """A sequence while it is being filled."""

    def __init__(self, length: int) -> None:
        self.used = 0
        self.answers: list[int] = []  # lengths
        self.choices: list[tuple[int, ...]] = []
        self._length = length
        self._ids = np.zeros(length, np.int64)
        self._positions = np.zeros(length, np.int64)
        self._sees = np.eye(length, dtype=bool)  # padding sees itself, so that its softmax is defined
        self._at: list[int] = []
        self._targets: list[int] = []
        self._weights: list[float] = []

    def append(self, segment: Sequence[int], above: tuple[slice, ...], first_position: int) -> slice:
        place = slice(self.used, self.used + len(segment))
        self._ids[place] = segment
        self._positions[place] = np.arange(first_position, first_position + len(segment))
        self._sees[place, place] = np.tri(len(segment), dtype=bool)
        for ancestor in above:
            self._sees[place, ancestor] = True
        self.used = place.stop
        return place

    def answer(self, ids: list[int], above: tuple[slice, slice], first: float, rest: float) -> None:
        """Hang an answer below its question if it fits; `first` and `rest` are the weights of its tokens."""
        if self.used + len(ids) - 1 > self._length:
            return
        root, asked = above
        told = self.append(ids[:-1], above, root.stop + asked.stop - asked.start)
        self._at += [asked.stop - 1, *range(told.start, told.stop)]
        self._targets += ids
        self._weights += [first, *[rest] * (len(ids) - 1)]
        self.answers.append(len(ids))

    def packed(self) -> PackedPhoto:
        return PackedPhoto(
            self._ids,
            self._positions,
            self._sees,
            np.array(self._at, np.int64),
            np.array(self._targets, np.int64),
            np.array(self._weights, np.float32),
            np.repeat(np.arange(len(self.answers)), self.answers),
            tuple(self.choices),
        )
