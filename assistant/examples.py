"""The photographs and spoken questions that come with the program."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lorgnette.device.errors import LorgnetteError


class ExamplesError(LorgnetteError):
    """The examples are not there or not whole."""


@dataclass(frozen=True, slots=True)
class Example:
    """A photograph, a recording of a question about it, and the words of the question."""

    photo: Path
    audio: Path
    text: str

    @property
    def name(self) -> str:
        return self.photo.stem


def shipped_examples() -> dict[str, Example]:
    """All examples by name. Raises ExamplesError."""
    # `examples` lies beside `assistant`, in a checkout as in an installed wheel.
    folder = Path(__file__).resolve().parent.parent / "examples"
    try:
        records = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
        examples = [Example(folder / each["photo"], folder / each["audio"], each["text"]) for each in records]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExamplesError(f"the examples in {folder} cannot be read: {error}", "install lorgnette again") from error
    return {example.name: example for example in examples}
