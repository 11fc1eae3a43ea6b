"""A small transcriber that answers where it is sure, and a large one for the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lorgnette.device.sound import AudioChunk
from lorgnette.speech.moonshine import MoonshineTranscriber
from lorgnette.speech.transcriber import Transcriber, Transcript, plain_words

Attempt = Callable[[AudioChunk, str | None, str | None], Transcript | None]

_LONGEST_S = 20.0
_OTHER_LEAD_S = 0.4


class CascadeTranscriber:
    """What `quick` is sure of costs a tenth of what `thorough` costs, and all in all no more is misheard.

    It is sure where the mean log-probability of its tokens is at least `sure`; where it is at least `likely`, it hears
    the sound once more, with more silence before it, and is sure if that gives the same words. Speech in another
    language comes nowhere near that, so the language need not be known. benchmarks/wer.py judged both figures.
    """

    def __init__(
        self, quick: MoonshineTranscriber, thorough: Transcriber, sure: float = -0.08, likely: float = -0.25
    ) -> None:
        self.quick = quick
        self.thorough = thorough
        self._sure = sure
        self._likely = likely

    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        """As Transcriber.transcribe."""
        return self.if_sure(sound, language, hint) or self.thorough.transcribe(sound, language, hint)

    def if_sure(self, sound: AudioChunk, language: str | None, hint: str | None) -> Transcript | None:
        """What the quick one hears, if it is sure; else None."""
        if language not in (None, *self.quick.languages) or sound.duration_s > _LONGEST_S:
            return None
        transcript = self.quick.transcribe(sound, language)
        return transcript if self._is_sure(transcript, sound) else None

    def _is_sure(self, first: Transcript, sound: AudioChunk) -> bool:
        if first.heard_nothing or first.log_probability >= self._sure:
            return True
        if first.log_probability < self._likely:
            return False
        second = self.quick.transcribe(sound, lead_s=_OTHER_LEAD_S)
        mean = (first.log_probability + second.log_probability) / 2
        # Where both agree, half the certainty is as good.
        return mean >= 2 * self._sure and plain_words(first.text) == plain_words(second.text)


class HastyTranscriber:
    """What `quick` takes for likely, and no words where it only guesses: those may be of another language, so the
    transcripts' `language_probability` is 0."""

    def __init__(self, quick: MoonshineTranscriber, likely: float = -0.4) -> None:
        self._quick = quick
        self._likely = likely

    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        """As Transcriber.transcribe."""
        guess = self._quick.transcribe(sound)
        text = guess.text if guess.log_probability >= self._likely else ""
        return replace(guess, text=text, language_probability=0.0)


def hasty(transcriber: Transcriber) -> Transcriber:
    """What to use instead of `transcriber` for words that are not final."""
    return HastyTranscriber(transcriber.quick) if isinstance(transcriber, CascadeTranscriber) else transcriber


def attempts(transcriber: Transcriber) -> tuple[Attempt, ...]:
    """What `transcriber` does, in steps: each takes a sound, its language and a hint, and gives None where the next one
    is needed. Between two of them the words may cease to be wanted."""
    if isinstance(transcriber, CascadeTranscriber):
        return transcriber.if_sure, transcriber.thorough.transcribe
    return (transcriber.transcribe,)
