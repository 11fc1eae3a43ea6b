"""What was played is taken out of what was heard, in whatever bursts it came, and the wearer stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lorgnette.device.resample import resample
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.speech.echo_canceller import (
    MARGIN_SAMPLES,
    EchoCanceller,
    Headset,
    PacedEchoCanceller,
    WebRtcEchoCanceller,
)
from lorgnette.speech.voice_activity import FRAME_SAMPLES, SileroDetector

QUESTIONS = sorted((Path(__file__).parents[2] / "examples" / "questions").glob("*.wav"))
RATE_HZ = 16_000
START_NS = 5_000_000_000
Samples = npt.NDArray[np.float32]


class Onlooker:
    """Cancels nothing, and keeps what it was given."""

    late_samples = 0

    def __init__(self) -> None:
        self._near: list[Samples] = []
        self._far: list[Samples] = []

    def cancel(self, near: Samples, far: Samples) -> Samples:
        assert len(near) == len(far) == 160
        self._near.append(near)
        self._far.append(far)
        return near

    @property
    def heard(self) -> Samples:
        return np.concatenate(self._near)

    @property
    def played(self) -> Samples:
        return np.concatenate(self._far)

    def delay(self, from_s: float, to_s: float) -> int:
        """How many samples later what was played was given than the same sound that was heard: always the same."""
        near, far = self.heard, self.played
        span = slice(round(from_s * RATE_HZ), round(to_s * RATE_HZ))
        matches = [late for late in range(RATE_HZ // 10) if np.array_equal(np.roll(near, late)[span], far[span])]
        assert matches, "what was played was not given whole, or with a delay that changed"
        return matches[0]


def speech(count: int) -> Samples:
    return np.concatenate([load_sound(file, 60).samples for file in QUESTIONS[:count]])


def frames(samples: Samples, start_ns: int = START_NS) -> list[AudioChunk]:
    return [
        AudioChunk(samples[at : at + FRAME_SAMPLES], RATE_HZ, start_ns + at * 62_500)
        for at in range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    ]


def heard_through(
    canceller: EchoCanceller, microphone: Samples, played: Samples, burst: Callable[[int], int]
) -> AudioChunk:
    """All that `canceller` gives for `microphone` while `played` is handed over, `burst(n)` samples at the n-th time,
    always as much as the microphone will have heard."""
    out, given, number = [], 0, 0
    for done, chunk in enumerate(frames(microphone), 1):
        while given < min(len(played), done * FRAME_SAMPLES):
            size = burst(number)
            canceller.played(AudioChunk(played[given : given + size], RATE_HZ))
            given, number = given + size, number + 1
        out.append(canceller.clean(chunk))
        assert len(out[-1].samples) == FRAME_SAMPLES
    return AudioChunk(np.concatenate([chunk.samples for chunk in out]), RATE_HZ, out[0].timestamp_ns)


def test_a_headset_changes_nothing() -> None:
    canceller = Headset()
    canceller.played(AudioChunk(np.ones(900, np.float32), 22_050))
    chunk = frames(speech(1))[3]
    assert canceller.clean(chunk) is chunk


def listen(canceller: EchoCanceller, sound: Samples, told: slice, heard: slice) -> None:
    """Of the chunks of `sound`, these are played, and then those are heard."""
    chunks = frames(sound)
    for chunk in chunks[told]:
        canceller.played(chunk)
    for chunk in chunks[heard]:
        canceller.clean(chunk)


def listen_on(canceller: EchoCanceller, sound: Samples, since: int) -> None:
    """Chunk after chunk of `sound` is played and heard."""
    for chunk in frames(sound)[since:]:
        canceller.played(chunk)
        canceller.clean(chunk)


@pytest.mark.parametrize(
    "burst", [lambda _: 320, lambda _: 960, lambda n: 320 + n * 97 % 640], ids=["20", "60", "mixed"]
)
def test_bursts_are_evened_out(burst: Callable[[int], int]) -> None:
    sound, onlooker = speech(3), Onlooker()
    heard_through(PacedEchoCanceller(onlooker), sound, sound, burst)
    assert 0 <= onlooker.delay(1, 4) <= MARGIN_SAMPLES


def test_a_thread_that_listens_late_changes_nothing() -> None:
    sound, onlooker = speech(3), Onlooker()
    canceller = PacedEchoCanceller(onlooker)
    listen_on(canceller, sound[: 40 * FRAME_SAMPLES], 0)
    listen(canceller, sound, slice(40, 50), slice(40, 41))
    listen(canceller, sound, slice(50, 51), slice(41, 51))
    listen_on(canceller, sound, 51)
    assert onlooker.delay(0.1, 4) == MARGIN_SAMPLES


def test_nothing_is_lost_or_moved_when_nothing_is_played() -> None:
    sound = speech(1)
    out = heard_through(PacedEchoCanceller(Onlooker()), sound, np.zeros(0, np.float32), lambda _: 320)
    late = (START_NS - out.timestamp_ns) * RATE_HZ // 1_000_000_000
    assert late == 128
    assert np.array_equal(out.samples[late:], sound[: len(out.samples) - late])


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_what_was_played_may_have_any_rate(rate_hz: int) -> None:
    onlooker = Onlooker()
    canceller = PacedEchoCanceller(onlooker)
    tone = resample((0.3 * np.sin(np.arange(4 * RATE_HZ) * 0.2)).astype(np.float32), RATE_HZ, rate_hz)
    for number, chunk in enumerate(frames(np.zeros(4 * RATE_HZ, np.float32))):
        first, end = (round(at * FRAME_SAMPLES * rate_hz / RATE_HZ) for at in (number, number + 1))
        canceller.played(AudioChunk(tone[first:end], rate_hz))
        canceller.clean(chunk)
    assert np.std(onlooker.played[2000:]) == pytest.approx(0.3 / np.sqrt(2), rel=0.02)


def test_a_microphone_that_was_closed_for_a_while() -> None:
    sound, onlooker = speech(3), Onlooker()
    canceller = PacedEchoCanceller(onlooker)
    listen_on(canceller, sound[: 20 * FRAME_SAMPLES], 0)
    listen(canceller, sound, slice(20, 60), slice(0, 0))
    listen_on(canceller, sound, 60)
    assert onlooker.delay(0.7, 3) == MARGIN_SAMPLES  # 20 chunks were heard before


def test_what_was_played_before_the_microphone_opened_is_nothing_to_it() -> None:
    sound, onlooker = speech(3), Onlooker()
    canceller = PacedEchoCanceller(onlooker)
    listen(canceller, sound, slice(0, 60), slice(0, 0))
    listen_on(canceller, sound, 60)
    assert onlooker.delay(0.1, 3) == MARGIN_SAMPLES


@pytest.mark.parametrize("ppm", [-200, 200])
def test_clocks_that_drift_apart_are_set_right_in_silence(ppm: int) -> None:
    """After ten minutes they would be 1,920 samples apart."""
    onlooker = Onlooker()
    canceller = PacedEchoCanceller(onlooker)
    chunks = frames(np.zeros(600 * RATE_HZ, np.float32))
    chunks[-3].samples[0] = 1.0
    told = 0
    for number, chunk in enumerate(chunks, 1):
        due = round(number * FRAME_SAMPLES * (1 + ppm * 1e-6))
        canceller.played(AudioChunk(np.resize(chunk.samples, due - told), RATE_HZ))
        told = due
        canceller.clean(chunk)
    assert 0 < np.argmax(onlooker.played) - np.argmax(onlooker.heard) < 2 * MARGIN_SAMPLES


def test_one_thread_plays_while_another_listens() -> None:
    sound, onlooker = speech(2), Onlooker()
    canceller = PacedEchoCanceller(onlooker)
    listen(canceller, sound, slice(0, 1), slice(0, 1))
    pieces = [sound[at : at + 400] for at in range(0, RATE_HZ, 400)]
    player = threading.Thread(target=lambda: [canceller.played(AudioChunk(piece, RATE_HZ)) for piece in pieces])
    player.start()
    silence = frames(np.zeros(2 * RATE_HZ, np.float32), START_NS + 32_000_000)
    for chunk in silence[:20]:
        canceller.clean(chunk)
    player.join()
    for chunk in silence[20:]:
        canceller.clean(chunk)
    energy = np.sum(np.square(sound[:RATE_HZ], dtype=np.float64)) + np.sum(
        np.square(sound[:FRAME_SAMPLES], dtype=np.float64)
    )
    assert np.sum(np.square(onlooker.played, dtype=np.float64)) == pytest.approx(energy, rel=1e-6)


@pytest.mark.parametrize("delay_ms", [20, 90, 250])
def test_webrtc_takes_the_echo_out(delay_ms: int, detector: SileroDetector) -> None:
    played = speech(6)
    echo = 0.4 * np.pad(played, (delay_ms * 16, 0))[: len(played)]
    echo = (echo + np.random.default_rng(0).normal(size=len(echo)) * 1e-4).astype(np.float32)
    left = heard_through(WebRtcEchoCanceller(), echo, played, lambda n: 320 + n * 97 % 640)
    settled = left.samples[2 * RATE_HZ :]
    assert np.std(settled) < 0.1 * np.std(echo[2 * RATE_HZ :])
    detector.reset()
    fired = [detector.probability(chunk.samples) > 0.5 for chunk in frames(settled)]
    assert np.mean(fired) < 0.02
    detector.reset()
    assert np.mean([detector.probability(chunk.samples) > 0.5 for chunk in frames(echo)]) > 0.3


@pytest.mark.parametrize("noise_suppression", [True, False])
def test_webrtc_leaves_the_wearer_and_tells_when_it_was(noise_suppression: bool) -> None:
    sound = speech(4)
    canceller = WebRtcEchoCanceller(noise_suppression=noise_suppression)
    out = heard_through(canceller, sound, np.zeros(0, np.float32), lambda _: 320)
    late = round((START_NS - out.timestamp_ns) * RATE_HZ / 1e9)
    span = slice(RATE_HZ, len(out.samples) - RATE_HZ)
    likeness = [float(np.dot(np.roll(out.samples, -lag)[span], sound[span])) for lag in range(700)]
    assert abs(int(np.argmax(likeness)) - late) <= 2
    assert 0.7 < np.std(out.samples) / np.std(sound) < 1.2


def test_webrtc_bears_overload_and_silence() -> None:
    canceller = WebRtcEchoCanceller()
    loud = np.full(FRAME_SAMPLES, 7.0, np.float32)
    for samples in (loud, -loud, np.zeros(FRAME_SAMPLES, np.float32)):
        canceller.played(AudioChunk(samples, RATE_HZ))
        out = canceller.clean(AudioChunk(samples, RATE_HZ)).samples
        assert out.dtype == np.float32 and np.abs(out).max() <= 1.0
