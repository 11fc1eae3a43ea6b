"""Whisper through faster-whisper (CTranslate2, 8-bit integers)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import InputError, LorgnetteError
from lorgnette.device.resample import resample
from lorgnette.device.session import available_cores
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.speech.transcriber import Transcript
from lorgnette.speech.voice_activity import SileroDetector, VoiceActivityDetector, cut_at_pauses, keep_speech

_PIECE_S = 13.0
"""Longer speech is cut at its pauses. Windows of 30 s that begin and end anywhere overlap and so take twice as
long, and they make the model skip or repeat sentences."""
_QUESTION_S = 30.0
"""Whatever takes longer to say is not a question."""
_LEAD_S = 0.3
"""Silence put before speech that starts at once: the model knows recordings that begin with a breath."""

QUESTION_HINT = "Is there a dog in the picture? What is the man doing? Describe it."
"""What a wearer's questions sound like. Given to the model as words that came before, it makes the like more probable:
without it, "Is there a cat" from a robotic voice becomes "Is now a cut"."""

_FILES = ("model.bin", "config.json", "tokenizer.json")


class SpeechModelError(LorgnetteError):
    """The files of a speech model are missing or broken."""


class WhisperTranscriber:
    """A Whisper model in the folder `model_dir`: model.bin, config.json, tokenizer.json, vocabulary.json.

    Silence is cut away before the model sees it, and it is not asked at all when nobody speaks. Where it is not sure of
    the language (below `sure_probability`), `usual_language` is taken. `hint` is an example of what is usually said, in
    that language; it is used for what is short enough to be a question. Short sounds are encoded in a window of at
    least `shortest_window_s` seconds: 10 is a little faster than 15 and mishears a little more; the model was trained
    on 30. It remembers its last sound, so only one thread at a time may use it.
    """

    def __init__(
        self,
        model_dir: Path,
        threads: int = 0,
        detector: VoiceActivityDetector | None = None,
        usual_language: str = "en",
        sure_probability: float = 0.5,
        beam_size: int = 5,
        hint: str = QUESTION_HINT,
        shortest_window_s: float = 15.0,
    ) -> None:
        missing = [name for name in _FILES if not (model_dir / name).is_file()]
        if missing:
            raise SpeechModelError(f"{model_dir} lacks {', '.join(missing)}", "lorgnette models pull whisper-base")
        self._model = _load(model_dir, threads or available_cores())
        self._model.shortest_window_s = shortest_window_s
        self._detector = detector or SileroDetector()
        self._usual_language = usual_language
        self._sure_probability = sure_probability
        self._beam_size = beam_size
        self._hint = hint

    @property
    def languages(self) -> frozenset[str]:
        """Codes of the languages that the model knows."""
        return frozenset(self._model.supported_languages)

    def transcribe(self, sound: AudioChunk, language: str | None = None, hint: str | None = None) -> Transcript:
        """As Transcriber.transcribe. It takes time in proportion to what is said."""
        if language is not None and language not in self.languages:
            raise InputError(f"the language {language!r} is not known", "give a two-letter code such as en, de, pt")
        heard = AudioChunk(resample(sound.samples, sound.rate_hz, SPEECH_RATE_HZ), SPEECH_RATE_HZ)
        speech = keep_speech(heard, self._detector)
        if len(speech.samples) == 0:
            return Transcript("", language or self._usual_language, 0.0, sound.duration_s, 0.0)
        lead = np.zeros(round(_LEAD_S * SPEECH_RATE_HZ), np.float32)
        samples = np.concatenate([lead, speech.samples])
        pieces = cut_at_pauses(AudioChunk(samples, SPEECH_RATE_HZ), _PIECE_S)
        probability = 1.0
        if language is None:
            language, probability = self._detect(samples[: round(pieces[0][1] * SPEECH_RATE_HZ)])
        hint = (self._hint if hint is None else hint) or None
        is_question = len(samples) < _QUESTION_S * SPEECH_RATE_HZ
        segments, _ = self._model.transcribe(
            samples,
            language=language,
            beam_size=self._beam_size,
            # A second, warmer try when the first looks like a loop or a guess; more of them cost time and gain nothing.
            temperature=(0.0, 0.4),
            condition_on_previous_text=False,
            # Timestamps would steer a walk from window to window, and the pauses do that.
            without_timestamps=True,
            clip_timestamps=[bound for piece in pieces for bound in piece],
            hotwords=hint if is_question and language == self._usual_language else None,
        )
        found = list(segments)
        text = " ".join(segment.text.strip() for segment in found).strip()
        log_probability = sum(segment.avg_logprob for segment in found) / max(1, len(found))
        return Transcript(text, language, probability, sound.duration_s, speech.duration_s, log_probability)

    def _detect(self, samples: npt.NDArray[np.float32]) -> tuple[str, float]:
        probabilities: dict[str, float] = self._model.detect(samples)
        language = next(iter(probabilities))
        if language != self._usual_language and probabilities[language] >= self._sure_probability:
            # A short window takes a strange voice for a strange language twice as often as the whole one does.
            probabilities = self._model.detect(samples, whole=True)
            language = next(iter(probabilities))
        if probabilities[language] < self._sure_probability:
            language = self._usual_language
        return language, probabilities.get(language, 0.0)


def _load(model_dir: Path, threads: int) -> Any:
    from lorgnette.speech.whisper_model import OneEncodingModel

    try:
        return OneEncodingModel(
            str(model_dir), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
        )
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SpeechModelError(
            f"the speech model in {model_dir} cannot be opened: {reason}", "lorgnette models verify"
        ) from error
