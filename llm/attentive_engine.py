"""An engine that looks before it answers: a bad frame gets advice, and a question about writing gets it read first.

A model that sees nothing, or cannot make out letters, invents. So frame quality is measured and text is read beside the
model, and the model is told; what it is told is data, in quotes (see `PromptWriter` and `QuoteConstraint`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from lorgnette.device.frame import Frame
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Engine, Look, Prompt, ScoringEngine, Token
from lorgnette.llm.reading_request import asks_to_read
from lorgnette.vision.quality import Quality
from lorgnette.vision.scene_text import SceneText

Writing = tuple[SceneText, ...]

# Pictures of which it is remembered what was found out. Each is kept whole, so few.
_KEPT = 2


class SceneReader(Protocol):
    """Reads what is written in a picture (`TextReader` is one)."""

    def has_writing(self, frame: Frame) -> bool:
        """Whether a glance shows writing that stands out."""
        ...

    def read_scene(self, frame: Frame) -> Writing:
        """What is written, in the order of reading."""
        ...


class Promise(Protocol):
    """Writing that is being read elsewhere."""

    def get(self) -> Writing | None:
        """What was read, as soon as it is; None where a glance showed nothing worth reading."""
        ...


Background = Callable[[Callable[[], Writing | None], str], Promise]
"""Starts work on another thread, under a name."""


class AttentiveEngine:
    """Answers with `engine`; see `Engine` for the rules.

    `assess` judges frames (None: all are good). `reader` is asked for when there is something to read (None: nobody
    reads); what it raises comes out of `stream`, where the question calls for reading. With `ahead` reading runs in the
    `background` as soon as a picture with prominent writing is looked at. Only questions about writing are told of it:
    a model this small takes up words of a sign when it describes the scene.
    """

    def __init__(
        self,
        engine: Engine,
        assess: Callable[[Frame], Quality] | None,
        reader: Callable[[], SceneReader] | None,
        background: Background,
        ahead: bool = True,
    ) -> None:
        self._engine = engine
        self._assess = assess
        self._reader = reader
        self._background = background
        self._reads_ahead = ahead
        self._sights: list[_Sight] = []
        self._lock = threading.Lock()
        self._answers_started = 0

    @property
    def name(self) -> str:
        return self._engine.name

    def look(self, picture: Frame) -> Look:
        """Judge the picture, let the engine look at it, and begin to read where something is written large."""
        sight = self._sight(picture)
        look = self._engine.look(picture)
        if self._reads_ahead and self._reader is not None and sight.quality.problem is None:
            self._ahead(sight)
        return look

    def stream(self, prompt: Prompt, cancel: CancelScope) -> Iterator[Token]:
        """The engine's answer, told what is written where the question calls for it; advice about a bad frame."""
        generation = cancel.generation
        plain = self._engine.stream(prompt, cancel)  # checks the prompt; not begun where another takes its place
        return self._answer(prompt, plain, cancel, generation)

    def _answer(self, prompt: Prompt, plain: Iterator[Token], cancel: CancelScope, generation: int) -> Iterator[Token]:
        with self._lock:
            self._answers_started += 1
            mine = self._answers_started
        told = self.attend(prompt)
        advice = "" if told.picture is None or told.text else self._sight(told.picture).quality.advice
        if cancel.stale(generation) or mine != self._answers_started:
            return
        attended = plain if told is prompt else self._engine.stream(told, cancel)
        for token in _spoken(advice) if advice else attended:
            # The engine counts neither advice nor a cancel that came while the text was being read.
            if cancel.stale(generation) or mine != self._answers_started:
                return
            yield token

    def attend(self, prompt: Prompt) -> Prompt:
        """`prompt` with what is written in its picture, where that is called for and not in it yet."""
        known = prompt.picture is None or prompt.text is not None
        if self._reader is None or known or not asks_to_read(prompt.question):
            return prompt
        assert prompt.picture is not None
        return replace(prompt, text=self._read(self._sight(prompt.picture)))

    def _sight(self, picture: Frame) -> _Sight:
        """What is known of `picture`, the very object: pictures are looked at and asked about without being copied."""
        with self._lock:
            known = [sight for sight in self._sights if sight.picture.pixels is picture.pixels]
            sight = known[0] if known else _Sight(picture, self._assess(picture) if self._assess else Quality())
            others = [other for other in self._sights if other is not sight]
            self._sights = [*others, sight][-_KEPT:]
            return sight

    def _ahead(self, sight: _Sight) -> Promise:
        """The promise of reading `sight` if a glance finds it worth while; made once."""
        with self._lock:
            if sight.ahead is None:
                sight.ahead = self._background(lambda: self._glance(sight.picture), "reading")
            return sight.ahead

    def _glance(self, picture: Frame) -> Writing | None:
        if self._reader is None:
            return None
        reader = self._reader()
        return reader.read_scene(picture) if reader.has_writing(picture) else None

    def _read(self, sight: _Sight) -> Writing:
        if sight.writing is None:
            ahead = sight.ahead.get() if sight.ahead else None
            assert self._reader is not None
            sight.writing = ahead if ahead is not None else self._reader().read_scene(sight.picture)
        return sight.writing


class AttentiveScoringEngine(AttentiveEngine):
    """The same around an engine that can score answers (a `ScoringEngine` of one)."""

    def log_probabilities(self, prompt: Prompt, answers: Sequence[str]) -> list[float]:
        """See `ScoringEngine`. A bad frame is scored like any other."""
        assert isinstance(self._engine, ScoringEngine)
        return self._engine.log_probabilities(self.attend(prompt), answers)


class _Sight:
    """What has been found out about one picture."""

    __slots__ = ("ahead", "picture", "quality", "writing")

    def __init__(self, picture: Frame, quality: Quality) -> None:
        self.picture = picture
        self.quality = quality
        self.ahead: Promise | None = None
        self.writing: Writing | None = None


def _spoken(sentence: str) -> Iterator[Token]:
    """A sentence of ours in the form of an answer, word by word."""
    for index, word in enumerate(sentence.split()):
        yield Token(index, word if index == 0 else f" {word}", 0.0)
