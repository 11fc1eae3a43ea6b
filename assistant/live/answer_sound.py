"""The sound of one answer, from the thread that makes it to the one that plays it."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from lorgnette.device.sound import AudioChunk


class AnswerSound:
    """Clauses with their sound, in order, added while the first are being heard. Positions are in samples."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: list[str] = []
        self._pieces: list[npt.NDArray[np.float32]] = []
        self._finished = False
        self.rate_hz = 0

    def add(self, text: str, sound: AudioChunk, begins: bool = True) -> None:
        """The next clause, or (not `begins`) more sound of the last one. All sound has one rate."""
        with self._lock:
            self.rate_hz = sound.rate_hz
            if begins or not self._pieces:
                self._texts.append(text)
                self._pieces.append(sound.samples)
            else:
                self._pieces[-1] = np.concatenate([self._pieces[-1], sound.samples])

    def finish(self) -> None:
        """Nothing more will come."""
        self._finished = True

    @property
    def length(self) -> int:
        with self._lock:
            return sum(map(len, self._pieces))

    @property
    def text(self) -> str:
        """All its words, so far."""
        with self._lock:
            return " ".join(self._texts)

    @property
    def is_finished(self) -> bool:
        return self._finished

    def slice(self, start: int, count: int) -> npt.NDArray[np.float32]:
        """At most `count` samples from `start` on: fewer at the end of what is there."""
        with self._lock:
            taken: list[npt.NDArray[np.float32]] = []
            for piece in self._pieces:
                if start < len(piece) and count > 0:
                    part = piece[start : start + count]
                    taken.append(part)
                    count -= len(part)
                start = max(0, start - len(piece))
            return np.concatenate(taken) if taken else np.zeros(0, np.float32)

    def said(self, samples: int) -> str:
        """The words that belong to the first `samples` samples: whole clauses, and of the last one as many of its
        words as its sound was heard in proportion."""
        with self._lock:
            words: list[str] = []
            for text, piece in zip(self._texts, self._pieces, strict=True):
                share = min(1.0, samples / max(1, len(piece)))
                clause = text.split()
                words += clause[: int(share * len(clause) + 1e-6)]
                samples = max(0, samples - len(piece))
            return " ".join(words)
