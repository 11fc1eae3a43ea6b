"""What was asked of an engine and what it answered, kept in a file line by line, so that an interrupted run goes on.

The file begins with a line that says whose answers these are; every other line is one answer. An answer belongs to what
was asked (data set, picture, question, choices), not to a task: what two tasks ask alike is asked once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from lorgnette.device.errors import LorgnetteError


class EvaluationError(LorgnetteError):
    """An evaluation cannot be done, resumed or kept."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question about a picture. `image` is the picture shown, in the set called `data` (both "" for none); `choices`
    are the answers to be weighed against each other instead of a free answer."""

    data: str
    image: str
    question: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` as it would be spoken. `log_probability` is the mean over its `tokens` of the natural logarithm of the
    model's own probability (0 without tokens); `scores` has one sum of them for each choice. `seconds` is the time it
    took, `first_seconds` the part until the first token, `look_seconds` what looking at the picture took before that
    (0 if it was known)."""

    text: str = ""
    log_probability: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    first_seconds: float = 0.0
    look_seconds: float = 0.0
    scores: tuple[float, ...] = ()


class AnswerFile:
    """The answers of one engine, in memory and on disk; `identity` names it and its settings.

    Raises EvaluationError where the file holds another engine's answers, or cannot be read or written.
    """

    def __init__(self, path: Path, identity: Mapping[str, object]) -> None:
        self.path = path
        self._answers: dict[Ask, Answer] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = self._read(json.loads(json.dumps(identity)))
            self._stream = path.open("r+b" if path.exists() else "wb")
            self._stream.truncate(kept)
            self._stream.seek(kept)
            if not kept:
                self._write({"engine": identity})
        except OSError as error:
            raise EvaluationError(f"cannot keep answers in {path}: {error.strerror}", "give another --out") from error

    def __len__(self) -> int:
        return len(self._answers)

    def __contains__(self, ask: Ask) -> bool:
        return ask in self._answers

    def get(self, ask: Ask) -> Answer | None:
        return self._answers.get(ask)

    def add(self, ask: Ask, answer: Answer) -> None:
        """Keep one answer; it is on its way to the disk when this returns."""
        self._answers[ask] = answer
        self._write(_record(ask, answer))

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> AnswerFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, record: Mapping[str, object]) -> None:
        try:
            self._stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise EvaluationError(
                f"cannot write {self.path}: {error.strerror}", "make room and run it again"
            ) from error

    def _read(self, identity: object) -> int:
        """Take in what is there; the number of bytes that are whole lines (a run may have ended within one)."""
        if not self.path.exists():
            return 0
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].splitlines()
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if number == 1:
                    self._check(record["engine"], identity)
                else:
                    ask, answer = _parse(record)
                    self._answers[ask] = answer
            except (ValueError, KeyError, TypeError) as error:
                raise EvaluationError(
                    f"{self.path} line {number} is damaged", "delete the file, or give another --out"
                ) from error
        return whole

    def _check(self, theirs: object, mine: object) -> None:
        if theirs != mine:
            raise EvaluationError(
                f"{self.path} holds the answers of another engine or of other settings", "give another --out"
            )


def _record(ask: Ask, answer: Answer) -> dict[str, Any]:
    record: dict[str, Any] = {"data": ask.data, "image": ask.image, "question": ask.question}
    if ask.choices:
        record |= {"choices": ask.choices, "scores": [round(score, 4) for score in answer.scores]}
    else:
        record |= {"answer": answer.text, "log_probability": round(answer.log_probability, 5), "tokens": answer.tokens}
    times = {name: round(getattr(answer, name), 4) for name in ("seconds", "first_seconds", "look_seconds")}
    return record | times


def _parse(record: Mapping[str, Any]) -> tuple[Ask, Answer]:
    ask = Ask(record["data"], record["image"], record["question"], tuple(record.get("choices", ())))
    answer = Answer(
        record.get("answer", ""),
        record.get("log_probability", 0.0),
        record.get("tokens", 0),
        record["seconds"],
        record["first_seconds"],
        record["look_seconds"],
        tuple(record.get("scores", ())),
    )
    return ask, answer
