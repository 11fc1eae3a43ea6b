"""An engine that repeats the question: for trying microphone, speaker and screens without any weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Look, Prompt, Token


class EchoEngine:
    """Answers "You asked: ... The picture is W x H." word by word, each with probability 1."""

    name = "echo"

    def __init__(self, max_new_tokens: int = 96) -> None:
        self._max_new_tokens = max_new_tokens
        self._seen: bytes | None = None
        self._answers_started = 0

    def look(self, picture: Frame) -> Look:
        cached = self._seen == picture.pixels.tobytes()
        self._seen = picture.pixels.tobytes()
        return Look(0, 0, cached)

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        return self._answer(self._words(prompt), cancel, cancel.generation)

    def log_probabilities(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        """Minus the number of an answer's words that this engine would not say."""
        if not all(answer.strip() for answer in answers):
            raise InputError("an answer is empty", "leave it out")
        mine = set(self._words(prompt))
        return [-float(sum(word not in mine for word in answer.split())) for answer in answers]

    def _words(self, prompt: Prompt) -> list[str]:
        question = prompt.question.split()
        if not question:
            raise InputError("the question is empty", "say or write what you want to know")
        answer = ["You", "asked:", *question]
        if prompt.picture is not None:
            answer += f"The picture is {prompt.picture.width} x {prompt.picture.height}.".split()
        return answer

    def _answer(self, words: list[str], cancel: CancelScope, generation: int) -> Iterator[Token]:
        self._answers_started += 1
        mine = self._answers_started
        for index, word in enumerate(itertools.islice(words, self._max_new_tokens)):
            if cancel.stale(generation) or mine != self._answers_started:
                return
            yield Token(index, word if index == 0 else f" {word}", 0.0)
