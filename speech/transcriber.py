"""The seam from sound to text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lorgnette.device.sound import AudioChunk


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard.

    `text` has no space at its ends and is empty when nobody spoke. `language` is a code such as "en", and
    `language_probability` is 1.0 where the language was given and not detected. `duration_s` is how long the recording
    lasts, `speech_s` how much of it was taken for speech.
    """

    text: str
    language: str
    language_probability: float
    duration_s: float
    speech_s: float

    @property
    def heard_nothing(self) -> bool:
        return not self.text


class Transcriber(Protocol):
    """Something that understands speech."""

    def transcribe(self, sound: AudioChunk, language: str | None = None) -> Transcript:
        """The words of `sound`, at any rate. `language` spares the detection. Raises InputError for a language that is
        not known."""
        ...
