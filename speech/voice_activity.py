"""Telling speech from everything else, 32 ms at a time."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import DeviceError
from lorgnette.device.session import OnnxSession
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import SPEECH_RATE_HZ

FRAME_SAMPLES = 512
FRAME_S = FRAME_SAMPLES / SPEECH_RATE_HZ

_CUT_FRAMES = 10
_CONTEXT_SAMPLES = 64
_STATE_SHAPE = (1, 1, 128)


class VoiceActivityDetector(Protocol):
    """Something that notices speech."""

    def probability(self, frame: npt.NDArray[np.float32]) -> float:
        """How likely `frame`, the next 512 samples at 16 kHz, is speech. What came before is remembered."""
        ...

    def reset(self) -> None:
        """Forget what came before."""
        ...


class SileroDetector:
    """Silero VAD v6, as faster-whisper's wheel carries it; about 0.1 ms a frame on the caller's thread."""

    def __init__(self, model_file: Path | None = None) -> None:
        # A second thread makes it slower.
        self._session = OnnxSession(model_file or _carried_model(), threads=1)
        self.reset()

    def reset(self) -> None:
        self._hidden = np.zeros(_STATE_SHAPE, np.float32)
        self._cell = np.zeros(_STATE_SHAPE, np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)

    def probability(self, frame: npt.NDArray[np.float32]) -> float:
        """As VoiceActivityDetector.probability; `frame` is float32 of shape (512,)."""
        window = np.concatenate([self._context, frame])[None]
        outputs = self._session.run({"input": window, "h": self._hidden, "c": self._cell})
        probability, self._hidden, self._cell = (outputs[name] for name in self._session.outputs)
        self._context = frame[-_CONTEXT_SAMPLES:]
        return float(probability.reshape(-1)[0])


class SpeechSwitch:
    """Turns probabilities into "speaking" and "not speaking", without flicker.

    It goes on at `on_probability` and off once `silence_s` seconds in a row stayed below `off_probability`.
    """

    def __init__(self, silence_s: float, on_probability: float = 0.5, off_probability: float = 0.35) -> None:
        self._silence_frames = max(1, round(silence_s / FRAME_S))
        self._on_probability = on_probability
        self._off_probability = off_probability
        self._quiet_frames = 0
        self.is_on = False

    def update(self, probability: float) -> bool:
        """Take in the next frame and return whether somebody is speaking."""
        if probability >= self._on_probability:
            self.is_on = True
            self._quiet_frames = 0
        elif self.is_on and probability < self._off_probability:
            self._quiet_frames += 1
            if self._quiet_frames >= self._silence_frames:
                self.is_on = False
                self._quiet_frames = 0
        return self.is_on


def keep_speech(
    sound: AudioChunk, detector: VoiceActivityDetector, margin_s: float = 0.4, longest_pause_s: float = 2.0
) -> AudioChunk:
    """The parts of `sound` (16 kHz) with speech in them, each with `margin_s` seconds around it, end to end.

    Pauses shorter than `longest_pause_s` stay. The result has no samples where there is no speech: models that
    transcribe invent words for silence, so silence must not reach them.
    """
    parts = [sound.samples[start:end] for start, end in _spans(sound, detector, margin_s, longest_pause_s)]
    return AudioChunk(np.concatenate(parts) if parts else np.zeros(0, np.float32), sound.rate_hz, sound.timestamp_ns)


def cut_at_pauses(sound: AudioChunk, longest_s: float) -> list[tuple[float, float]]:
    """Where `sound` (16 kHz) falls into pieces of at most `longest_s` seconds, as their start and end in seconds. Each
    cut is in the quietest third of a second of the second half of what one piece could hold."""
    if sound.duration_s <= longest_s:
        return [(0.0, sound.duration_s)]
    frames = len(sound.samples) // FRAME_SAMPLES
    energy = (sound.samples[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES) ** 2).mean(axis=1)
    loudness = np.convolve(energy, np.ones(_CUT_FRAMES), "same")
    longest = int(longest_s / FRAME_S)
    starts = [0]
    while frames - starts[-1] >= longest:
        earliest = starts[-1] + longest // 2
        starts.append(earliest + int(np.argmin(loudness[earliest : starts[-1] + longest])))
    bounds = [*(at * FRAME_S for at in starts), sound.duration_s]
    return list(pairwise(bounds))


def _spans(
    sound: AudioChunk, detector: VoiceActivityDetector, margin_s: float, longest_pause_s: float
) -> Iterator[tuple[int, int]]:
    margin = round(margin_s * SPEECH_RATE_HZ)
    pause = round(longest_pause_s * SPEECH_RATE_HZ)
    start = end = -1
    for at, spoken in _spoken_frames(sound, detector):
        if not spoken:
            continue
        if start < 0:
            start = at
        elif at - end > pause:
            yield max(0, start - margin), end + margin
            start = at
        end = at + FRAME_SAMPLES
    if start >= 0:
        yield max(0, start - margin), end + margin


def _spoken_frames(sound: AudioChunk, detector: VoiceActivityDetector) -> Iterator[tuple[int, bool]]:
    detector.reset()
    switch = SpeechSwitch(silence_s=FRAME_S)
    padding = -len(sound.samples) % FRAME_SAMPLES
    samples = np.concatenate([sound.samples, np.zeros(padding, np.float32)])
    for at in range(0, len(samples), FRAME_SAMPLES):
        yield at, switch.update(detector.probability(samples[at : at + FRAME_SAMPLES]))


def _carried_model() -> Path:
    # Found without importing faster-whisper, which takes half a second.
    spec = importlib.util.find_spec("faster_whisper")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        for file in sorted((Path(folder) / "assets").glob("silero_vad_v*.onnx"), reverse=True):
            return file
    raise DeviceError("the voice detector's model is missing", "pip install faster-whisper")
