"""The seam to whatever answers questions about pictures: a model on this machine, on a host, or a stand-in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lorgnette.device.frame import Frame
from lorgnette.llm.cancel import CancelScope
from lorgnette.vision.scene_text import SceneText


@dataclass(frozen=True, slots=True)
class Token:
    """One step of an answer. `text` is what can be shown so far: empty while a character is incomplete, more than one
    character as a rule. `log_probability` is the natural logarithm of the model's own probability for `id`."""

    id: int
    text: str
    log_probability: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that was asked before and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an answer is asked for: a question, the picture it is about, and what was said before.

    `text` are the lines written in the picture, in reading order: none where it was looked for and there is none, None
    where nobody has looked.
    """

    question: str
    picture: Frame | None = None
    history: tuple[Exchange, ...] = ()
    text: tuple[SceneText, ...] | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What it took to see a picture: nanoseconds of encoding and of prefill, and whether it was known already."""

    encode_ns: int
    prefill_ns: int
    cached: bool


class Engine(Protocol):
    """Answers questions.

    `look` may be called before the question is known, from any thread: it does all the work that depends on the picture
    alone, so that `stream` need not. `stream` checks the prompt at once (InputError when it cannot be answered) and
    yields tokens until the answer ends, its limit is reached, or `cancel` moves on; then it ends within one token. One
    answer runs at a time: a second `stream` ends the first.
    """

    @property
    def name(self) -> str: ...

    def look(self, picture: Frame) -> Look: ...

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]: ...


@runtime_checkable
class ScoringEngine(Engine, Protocol):
    """An engine that can also tell how likely it would be to give certain answers."""

    def log_probabilities(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        """For each of `answers` the sum of the natural logarithms of the probabilities of its tokens and of stopping
        after them. Independent of `stream`. Raises InputError as `stream` does, and for an empty answer."""
        ...
