"""Words while they are still being spoken: the whole utterance is transcribed again and again as it grows."""

from __future__ import annotations

from dataclasses import dataclass

from lorgnette.device.sound import AudioChunk
from lorgnette.speech.transcriber import Transcriber, Transcript

_MARKS = (".", "?", "!")


@dataclass(frozen=True, slots=True)
class Partial:
    """What was understood so far.

    `stable` are the words that two updates in a row agreed on: they are never taken back. `tentative` is the rest.
    `transcript` is what the last update alone heard; its words may differ from the stable ones.
    """

    stable: str
    tentative: str
    transcript: Transcript

    @property
    def text(self) -> str:
        return f"{self.stable} {self.tentative}".strip()


class RollingTranscript:
    """The transcript of one utterance; a new one for each.

    Words become stable by LocalAgreement-2 (Liu et al., "Low-Latency Sequence-to-Sequence Speech Recognition and
    Translation by Partial Hypothesis Selection", 2020; with Whisper: Macháček et al., 2023): the longest prefix that
    two updates in a row have in common. They agree when they are spelled and punctuated alike, so that whoever has
    already worked on the stable words need not do so again. A transcriber ends with a mark whatever is cut off ("What
    is the person?"), so a last word with one waits until there is no more sound. Without `language` every update
    detects it.
    """

    def __init__(self, transcriber: Transcriber, language: str | None = None) -> None:
        self._transcriber = transcriber
        self._language = language
        self.language = language
        """What an update took the language for; None where it is not given and none could tell."""
        self._stable: list[str] = []
        self._before: list[str] = []
        self._heard_s = 0.0

    def update(self, sound: AudioChunk) -> Partial:
        """Take in `sound`, all of the utterance so far. Raises as Transcriber.transcribe."""
        transcript = self._transcriber.transcribe(sound, self._language)
        if transcript.language_probability > 0:
            self.language = transcript.language
        grows, self._heard_s = sound.duration_s > self._heard_s, sound.duration_s
        if not transcript.heard_nothing:  # what cannot be made out changes nothing
            self._take(transcript.text.split(), grows)
        tentative = self._before[len(self._stable) :]
        return Partial(" ".join(self._stable), " ".join(tentative), transcript)

    def _take(self, words: list[str], grows: bool) -> None:
        agreed = _common_prefix(self._before, words)
        if grows and len(agreed) == len(words) and words[-1].endswith(_MARKS):
            agreed.pop()
        # A newer agreement on other words comes too late: the stable ones may have been acted upon.
        if agreed[: len(self._stable)] == self._stable:
            self._stable = agreed
        self._before = words


def _common_prefix(left: list[str], right: list[str]) -> list[str]:
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return right[:length]
