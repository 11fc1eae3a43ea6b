"""Recording one question: from the first word until the wearer has finished."""

from __future__ import annotations

from collections import deque

from lorgnette.device.errors import InputError
from lorgnette.device.microphone import Microphone, listening
from lorgnette.device.sound import AudioChunk, joined
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.speech.voice_activity import FRAME_S, FRAME_SAMPLES, SpeechSwitch, VoiceActivityDetector

_BEFORE_S = 0.4
"""Kept from before the detector noticed: it needs a moment, and soft first consonants come before that."""


class Recorder:
    """Records from a microphone until `silence_s` seconds of silence follow speech.

    It gives up after `patience_s` seconds in which nobody spoke, and cuts a speech short at `limit_s` seconds.
    """

    def __init__(
        self,
        microphone: Microphone,
        detector: VoiceActivityDetector,
        silence_s: float = 0.8,
        patience_s: float = 8.0,
        limit_s: float = 30.0,
    ) -> None:
        self._microphone = microphone
        self._detector = detector
        self._silence_s = silence_s
        self._patience_s = patience_s
        self._limit_s = limit_s

    def record(self) -> AudioChunk:
        """What was said, at 16 kHz. Raises InputError when nobody spoke, DeviceError when the microphone fails."""
        self._detector.reset()
        switch = SpeechSwitch(self._silence_s)
        before: deque[AudioChunk] = deque(maxlen=max(1, round(_BEFORE_S / FRAME_S)))
        taken: list[AudioChunk] = []
        with listening(self._microphone) as chunks:
            for number, chunk in enumerate(chunks):
                speaking = switch.update(self._detector.probability(chunk.samples))
                if speaking and not taken:
                    taken.extend(before)
                if speaking:
                    taken.append(chunk)
                elif taken:
                    break
                before.append(chunk)
                if not taken and (number + 1) * FRAME_S >= self._patience_s:
                    raise InputError(
                        f"nobody spoke for {self._patience_s:g} seconds", "speak up, or check the microphone"
                    )
                if len(taken) * FRAME_SAMPLES >= self._limit_s * SPEECH_RATE_HZ:
                    break
        if not taken:
            raise InputError("the microphone fell silent before anybody spoke", "speak up, or check the microphone")
        return joined(taken, SPEECH_RATE_HZ)
