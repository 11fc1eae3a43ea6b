"""Moonshine on ONNX Runtime: a small transcriber of English that takes as long as the speech is, not half a minute.

27 million parameters, raw sound in. Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice
Commands", 2024.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import InputError
from lorgnette.device.resample import resample
from lorgnette.device.session import Array, OnnxSession
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ
from lorgnette.speech.transcriber import Transcript
from lorgnette.speech.voice_activity import SileroDetector, VoiceActivityDetector, keep_speech

_BEGIN, _END = 1, 2
_TOKENS_PER_S = 6.5
"""More of them than anybody can say: the authors' own bound against loops."""
_FEWEST_TOKENS = 10
_PAST, _PRESENT = "past_key_values", "present"
_SPACE = "\u2581"


class MoonshineTranscriber:
    """The networks in the folder `model_dir`: encoder_model.ort, decoder_model_merged.ort, tokenizer.bin.

    It mishears more than Whisper base, but says how sure it is: `log_probability` of its transcripts. Greedy; no more
    than a window's worth of speech at a time, so hand it questions and not recordings. Raises SessionError.
    """

    languages = frozenset({"en"})

    def __init__(self, model_dir: Path, threads: int = 0, detector: VoiceActivityDetector | None = None) -> None:
        self._encoder = OnnxSession(model_dir / "encoder_model.ort", threads)
        self._decoder = OnnxSession(model_dir / "decoder_model_merged.ort", threads)
        self._words = _read_tokens(model_dir / "tokenizer.bin")
        self._detector = detector or SileroDetector()
        self._past = {
            name: np.zeros((1, _side(spec.shape[1]), 0, _side(spec.shape[3])), np.float32)
            for name, spec in self._decoder.inputs.items()
            if name.startswith(_PAST)
        }

    def transcribe(
        self, sound: AudioChunk, language: str | None = None, hint: str | None = None, lead_s: float = 0.1
    ) -> Transcript:
        """As Transcriber.transcribe, in about 15 ms and 5 ms a token on two cores. It takes no hint.

        `lead_s` of silence stand before the words: another amount is another look at the same words, and what is only
        guessed comes out differently.
        """
        if language not in (None, *self.languages):
            raise InputError(f"this model does not know the language {language!r}", "use whisper-base")
        heard = AudioChunk(resample(sound.samples, sound.rate_hz, SPEECH_RATE_HZ), SPEECH_RATE_HZ)
        speech = keep_speech(heard, self._detector)
        if len(speech.samples) == 0:
            return Transcript("", "en", 0.0, sound.duration_s, 0.0)
        lead, tail = (np.zeros(round(s * SPEECH_RATE_HZ), np.float32) for s in (lead_s, 0.1))
        tokens, log_probability = self._decode(np.concatenate([lead, speech.samples, tail]))
        text = b"".join(self._words[token] for token in tokens).decode("utf-8", errors="replace")
        return Transcript(
            text.replace(_SPACE, " ").strip(), "en", 1.0, sound.duration_s, speech.duration_s, log_probability
        )

    def _decode(self, samples: npt.NDArray[np.float32]) -> tuple[list[int], float]:
        """The likeliest tokens one after the other, and the mean log-probability of them and of the end."""
        mask = np.ones((1, len(samples)), np.int64)
        hidden = self._encoder.run({"input_values": samples[None], "attention_mask": mask})["last_hidden_state"]
        feeds: dict[str, Array] = {"encoder_hidden_states": hidden, "encoder_attention_mask": mask, **self._past}
        tokens, log_probabilities = [_BEGIN], []
        for _ in range(max(_FEWEST_TOKENS, math.ceil(len(samples) / SPEECH_RATE_HZ * _TOKENS_PER_S))):
            is_first = len(tokens) == 1
            feeds["input_ids"] = np.array([tokens[-1:]], np.int64)
            feeds["use_cache_branch"] = np.array([not is_first])
            outputs = self._decoder.run(feeds)
            for name in self._past:
                # What the encoder says is projected once; later steps give it back empty.
                if is_first or ".decoder." in name:
                    feeds[name] = outputs[name.replace(_PAST, _PRESENT)]
            logits = outputs["logits"][0, -1]
            token = int(logits.argmax())
            log_probabilities.append(-math.log(float(np.exp(logits - logits[token]).sum())))
            if token == _END:
                return tokens[1:], sum(log_probabilities) / len(log_probabilities)
            tokens.append(token)
        return tokens[1:], -math.inf  # it went round in circles


def _side(size: int | str | None) -> int:
    assert isinstance(size, int), "the heads of this decoder have a size"
    return size


def _read_tokens(file: Path) -> list[bytes]:
    """The tokens' bytes by number: each after its length, which is two bytes, low seven bits first, from 128 on."""
    data = file.read_bytes()
    tokens: list[bytes] = []
    at = 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            length += 128 * data[at] - 128
            at += 1
        tokens.append(data[at : at + length])
        at += length
    return tokens
