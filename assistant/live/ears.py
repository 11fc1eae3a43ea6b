"""Listening, on a thread of its own: the microphone, without the assistant's own voice in it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lorgnette.device.microphone import Microphone, listening
from lorgnette.device.sound import AudioChunk
from lorgnette.speech.echo_canceller import EchoCanceller

_POLL_S = 0.1


class Ears:
    """`run` is the work of its thread. `hear` is called with every chunk while the ears are open; `works` once sound
    comes after they were opened or the microphone had failed."""

    def __init__(
        self,
        microphone: Microphone,
        echo: EchoCanceller,
        hear: Callable[[AudioChunk], None],
        works: Callable[[], None],
    ) -> None:
        self._microphone = microphone
        self._echo = echo
        self._hear = hear
        self._works = works
        self._changed = threading.Condition()
        self._open = False
        self._closed = False

    def open(self, is_open: bool) -> None:
        """Listen, or let the microphone go within a chunk."""
        with self._changed:
            self._open = is_open
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed, self._open = True, False
            self._changed.notify_all()

    def run(self) -> None:
        """Listen until closed. Raises DeviceError where the microphone fails."""
        while not self._closed:
            if self._open:
                self._listen()
            with self._changed:
                if not self._open and not self._closed:
                    self._changed.wait(_POLL_S)

    def _listen(self) -> None:
        with listening(self._microphone) as chunks:
            for number, chunk in enumerate(chunks):
                if not self._open:
                    return
                if number == 0:
                    self._works()
                self._hear(self._echo.clean(chunk))
