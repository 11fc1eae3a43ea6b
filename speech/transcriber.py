"""The seam from sound to text, and a transcriber that knows beforehand what is said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lorgnette.device.sound import AudioChunk

_NOT_WORDS = re.compile(r"[^\w' ]+|_")


def plain_words(text: str) -> list[str]:
    """The words of `text` in small letters and without punctuation, so that two hearings can be compared."""
    return _NOT_WORDS.sub(" ", text.lower().replace("\u2019", "'").replace("-", " ")).split()


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard.

    `text` has no space at its ends and is empty when nobody spoke. `language` is a code such as "en", and
    `language_probability` is 1.0 where the language was given and not detected. `duration_s` is how long the recording
    lasts, `speech_s` how much of it was taken for speech. `log_probability` is the natural logarithm, the mean over the
    tokens, and 0.0 where nothing had to be guessed.
    """

    text: str
    language: str
    language_probability: float
    duration_s: float
    speech_s: float
    log_probability: float = 0.0

    @property
    def heard_nothing(self) -> bool:
        return not self.text


class Transcriber(Protocol):
    """Something that understands speech."""

    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        """The words of `sound`, at any rate. `language` spares the detection; `hint` is an example of what may be said
        here, where that is not the usual. Raises InputError for a language that is not known."""
        ...


class ScriptedTranscriber:
    """Hears `texts` one after the other, and then the last for ever, whatever the sound: for demos and tests without a
    model."""

    def __init__(self, texts: Sequence[str], language: str = "en") -> None:
        self._texts = [text.strip() for text in texts]
        self._language = language
        self._next = 0

    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        text = self._texts[min(self._next, len(self._texts) - 1)]
        self._next += 1
        speech_s = sound.duration_s if text else 0.0
        return Transcript(text, language or self._language, 1.0, sound.duration_s, speech_s)
