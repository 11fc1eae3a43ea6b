"""Listening for the words that wake the assistant."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import DeviceError, InputError

WAKE_WORDS = ("okay_nabu", "hey_jarvis", "hey_mycroft", "alexa")


class WakeWordDetector(Protocol):
    """Something that notices one phrase in all that is said."""

    @property
    def phrase(self) -> str:
        """What to say, in small letters: "okay nabu"."""
        ...

    def heard(self, frame: npt.NDArray[np.float32]) -> bool:
        """Whether `frame`, the next 512 samples at 16 kHz, completes the phrase. What came before is remembered."""
        ...

    def reset(self) -> None:
        """Forget what came before."""
        ...


class MicroWakeWord:
    """microWakeWord's model of the phrase `name`, one of WAKE_WORDS, as the wheel of pymicro-wakeword carries it.

    "Alexa" is the usual one for it alone is heard from every synthetic voice and in noise (benchmarks/wake_word.py);
    whoever has Amazon's devices in the room will want another.
    """

    def __init__(self, name: str = "alexa") -> None:
        if name not in WAKE_WORDS:
            raise InputError(f"the wake word {name!r} is not known", f"choose from {', '.join(WAKE_WORDS)}")
        self._name = name
        self._model, self._features = _load(name)

    @property
    def phrase(self) -> str:
        return self._name.replace("_", " ")

    def heard(self, frame: npt.NDArray[np.float32]) -> bool:
        """As WakeWordDetector.heard; one utterance is heard once."""
        sound = (np.clip(frame, -1.0, 1.0) * 32767).astype("<i2").tobytes()
        # All of them, for the model's own memory must not miss a step.
        heard = any([self._model.process_streaming(features) for features in self._features.process_streaming(sound)])
        if heard:
            self.reset()
        return heard

    def reset(self) -> None:
        self._model.reset()
        self._features.reset()


def _load(name: str) -> tuple[Any, Any]:
    try:
        import pymicro_wakeword
    except (ImportError, OSError) as error:
        raise DeviceError("the wake word's library is missing", "pip install pymicro-wakeword") from error
    try:
        model = pymicro_wakeword.MicroWakeWord.from_builtin(pymicro_wakeword.Model(name))
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"the wake word {name!r} cannot be loaded: {error}", "pip install pymicro-wakeword"
        ) from error
    return model, pymicro_wakeword.MicroWakeWordFeatures()
