"""Synthetic rooms in which an answer is played, a wearer speaks, and a microphone hears both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from voices import OTHERS, OURS, Samples, SpeechFolder, power, room_noise, varied

from lorgnette.device.room import room_response
from lorgnette.device.sound_file import SPEECH_RATE_HZ

ANSWERS = """\
There is a brown dog on the grass, and it is jumping after a red ball. A child stands behind it and laughs.
I can see a wooden table with two cups of coffee, a newspaper and a pair of glasses. The left cup is empty.
The sign says: platform four, trains to the airport every ten minutes. The next one leaves at twenty past nine.
It is too dark to tell. Turn towards the window, please, and hold still for a moment. Then I will look again.
Three people are waiting at the bus stop. One of them wears a yellow coat and looks at a telephone.
The bottle on the right is milk, and the one on the left is orange juice. Both of them are open.""".splitlines()

QUESTIONS = """\
What is the man in the red shirt doing?
Stop, tell me about the other one.
How many people are waiting at the station?
Is there a chair that nobody is sitting on?
What colour is the car behind the bus?
Read me the second line of the sign.""".splitlines()

DELAYS_MS = (20, 45, 80, 120, 180, 250)
_QUESTION_AT_S = 8.0


@dataclass(frozen=True, slots=True)
class Scene:
    """All at 16 kHz and of one length. `microphone` is the sum of `near`, the echo and the noise; `played` has as many
    seconds of what was given to the loudspeaker, and `bursts` says when which part of it was handed over."""

    played: Samples
    near: Samples
    microphone: Samples
    bursts: tuple[tuple[float, int, int], ...]
    question: str
    question_span: tuple[int, int]


def make_scene(number: int, near_over_echo_db: float | None, speech: SpeechFolder) -> Scene:
    """Room `number`, with a wearer who speaks over the answer, or (None) without."""
    rng, noise = random.Random(number), np.random.default_rng(number)
    played = np.concatenate(
        [np.pad(speech.say(ANSWERS[(number + i) % len(ANSWERS)], OURS), (0, 8000)) for i in range(2)]
    )
    delay_ms = DELAYS_MS[number % len(DELAYS_MS)]
    through = np.tanh(3.0 * _high_passed(played, 250.0)) / 3.0
    echo = _convolved(through, _room(delay_ms, rng.uniform(0.15, 0.4), noise))[: len(played)]
    echo *= np.float32(0.08 / np.sqrt(power(echo)))
    question = QUESTIONS[number % len(QUESTIONS)]
    voice = varied(rng, OTHERS)
    said = speech.say(question, voice)
    near = np.zeros_like(played)
    start = round(_QUESTION_AT_S * SPEECH_RATE_HZ)
    span = (start, start + len(said))
    if near_over_echo_db is not None:
        near[start : span[1]] = said * np.float32(np.sqrt(power(echo) / power(said)) * 10 ** (near_over_echo_db / 20))
    microphone = near + echo + room_noise(len(echo), noise) * np.float32(0.08 * 10 ** (-rng.uniform(25, 40) / 20))
    return Scene(played, near, np.clip(microphone, -1, 1), tuple(_bursts(len(played), rng)), question, span)


def _bursts(length: int, rng: random.Random) -> Iterator[tuple[float, int, int]]:
    """(when in seconds, first sample, end): each is handed over 2 to 12 ms before its first sample is due."""
    at = 0
    while at < length:
        end = min(length, at + round(rng.uniform(0.02, 0.06) * SPEECH_RATE_HZ))
        yield at / SPEECH_RATE_HZ - rng.uniform(0.002, 0.012), at, end
        at = end


def _room(delay_ms: float, decay_s: float, noise: np.random.Generator) -> Samples:
    """An impulse response: nothing for `delay_ms`, then that of a room that has lost 60 dB after `decay_s`."""
    return np.pad(room_response(decay_s, noise), (round(delay_ms / 1000 * SPEECH_RATE_HZ), 0))


def _convolved(samples: Samples, response: Samples) -> Samples:
    size = len(samples) + len(response) - 1
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size).astype(np.float32)


def _high_passed(samples: Samples, below_hz: float) -> Samples:
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / SPEECH_RATE_HZ)
    return np.fft.irfft(spectrum * (hz / (hz + below_hz)) ** 2, len(samples)).astype(np.float32)
