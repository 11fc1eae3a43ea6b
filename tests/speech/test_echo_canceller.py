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
from lorgnette.speech.echo_canceller import EchoCanceller, Headset, PacedEchoCanceller, WebRtcEchoCanceller
from lorgnette.speech.voice_activity import FRAME_SAMPLES, SileroDetector

QUESTIONS = sorted((Path(__file__).parents[2] / "examples" / "questions").glob("*.wav"))
RATE_HZ = 16_000
START_NS = 5_000_000_000
Samples = npt.NDArray[np.float32]


class Subtraction:
    """Takes away exactly what was played: right for an echo without a room."""

    late_samples = 0

    def cancel(self, near: Samples, far: Samples) -> Samples:
        assert len(near) == len(far) == 160
        return near - far


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


@pytest.mark.parametrize(
    "burst", [lambda _: 320, lambda _: 960, lambda n: 320 + n * 97 % 640], ids=["20", "60", "mixed"]
)
def test_bursts_are_evened_out(burst: Callable[[int], int]) -> None:
    sound = speech(1)
    left = heard_through(PacedEchoCanceller(Subtraction()), sound, sound, burst)
    assert np.abs(left.samples).max() == 0


def test_nothing_is_lost_or_moved_when_nothing_is_played() -> None:
    sound = speech(1)
    out = heard_through(PacedEchoCanceller(Subtraction()), sound, np.zeros(0, np.float32), lambda _: 320)
    late = (START_NS - out.timestamp_ns) * RATE_HZ // 1_000_000_000
    assert late == 128
    assert np.array_equal(out.samples[late:], sound[: len(out.samples) - late])


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_what_was_played_may_have_any_rate(rate_hz: int) -> None:
    tone = (0.3 * np.sin(np.arange(4 * RATE_HZ) * 0.2)).astype(np.float32)
    canceller = PacedEchoCanceller(Subtraction())
    fine = resample(tone, RATE_HZ, rate_hz)
    size = rate_hz // 25
    for at in range(0, len(fine), size):
        canceller.played(AudioChunk(fine[at : at + size], rate_hz))
    left = np.concatenate([canceller.clean(chunk).samples for chunk in frames(np.zeros(len(tone) // 4, np.float32))])
    # What waited longest is gone, so what comes is the tone's end.
    assert np.std(left[2000:]) == pytest.approx(0.3 / np.sqrt(2), rel=0.02)


def test_a_closed_microphone_leaves_no_old_sound_behind() -> None:
    canceller = PacedEchoCanceller(Subtraction())
    sound = speech(1)[: 2 * RATE_HZ]
    before, after = frames(sound[:5120]), frames(sound[21_120:], START_NS + 21_120 * 62_500)  # a second is missing
    for chunk in before:
        canceller.played(chunk)
        canceller.clean(chunk)
    canceller.played(AudioChunk(sound[5120:21_120], RATE_HZ))
    left = []
    for chunk in after:
        canceller.played(chunk)
        left.append(canceller.clean(chunk).samples)
    assert np.abs(np.concatenate(left)).max() == 0


def test_one_thread_plays_while_another_listens() -> None:
    sound = speech(2)
    canceller = PacedEchoCanceller(Subtraction())
    pieces = [sound[at : at + 400] for at in range(0, RATE_HZ, 400)]
    player = threading.Thread(target=lambda: [canceller.played(AudioChunk(piece, RATE_HZ)) for piece in pieces])
    player.start()
    silence = [canceller.clean(chunk).samples for chunk in frames(np.zeros(RATE_HZ, np.float32))]
    player.join()
    silence += [canceller.clean(chunk).samples for chunk in frames(np.zeros(2 * RATE_HZ, np.float32))]
    assert np.sum(np.square(np.concatenate(silence), dtype=np.float64)) == pytest.approx(
        np.sum(np.square(sound[:RATE_HZ], dtype=np.float64)), rel=1e-6
    )


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
