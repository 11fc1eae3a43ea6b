"""Whether speech is meant for the assistant: after the wake word or the button, a while after an answer, or always."""

from __future__ import annotations

from collections import deque

from lorgnette.assistant.config import LiveConfig
from lorgnette.device.sound import AudioChunk
from lorgnette.speech.voice_activity import FRAME_S
from lorgnette.speech.wake_word import WakeWordDetector

_AFTER_WAKE_S = 0.3
"""Sound from before the wake word was noticed that may belong to the question already."""


class Attention:
    """Counts time in chunks of sound."""

    def __init__(self, wake_word: WakeWordDetector | None, settings: LiveConfig) -> None:
        self._wake_word = wake_word
        self._settings = settings
        self._left_s = 0.0
        self._recent: deque[AudioChunk] = deque(maxlen=max(1, round(_AFTER_WAKE_S / FRAME_S)))
        self.button_held = False
        self.woken_ns: int | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a question that somebody has announced."""
        return self._left_s > 0 or self.button_held

    @property
    def is_open(self) -> bool:
        """Whether speech begins a question now."""
        return self._settings.start == "open" or self.is_waiting

    @property
    def recent(self) -> tuple[AudioChunk, ...]:
        """The last 0.3 s of sound."""
        return tuple(self._recent)

    @property
    def phrase(self) -> str:
        """The wake word, in words; "" without one."""
        return self._wake_word.phrase if self._wake_word is not None else ""

    def hear(self, chunk: AudioChunk) -> bool:
        """Take in the next chunk; True where it completes the wake word."""
        self._recent.append(chunk)
        return self._wake_word is not None and self._wake_word.heard(chunk.samples)

    def pass_time(self) -> bool:
        """A chunk has gone by without speech; True where nobody will speak any more."""
        was_waiting = self._left_s > 0
        self._left_s -= FRAME_S if was_waiting else 0.0
        return was_waiting and self._left_s <= 0

    def wait(self, patience_s: float) -> None:
        """Speech may begin for so long."""
        self._left_s = patience_s

    def wait_at_least(self, patience_s: float) -> None:
        """Speech may begin for so long, or for as long as it might anyway."""
        self._left_s = max(self._left_s, patience_s)

    def follow_up(self) -> None:
        """An answer is over: for a while a question needs no wake word."""
        self.woken_ns = None
        self._left_s = max(self._settings.follow_up_s, FRAME_S)

    def rest(self) -> None:
        """Wait for the wake word, or the button, again."""
        self._left_s, self.woken_ns = 0.0, None
        if self._wake_word is not None:
            self._wake_word.reset()
