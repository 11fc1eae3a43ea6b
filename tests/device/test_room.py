"""A room of files: what is said in it is heard in it, at the time at which it was said."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest
from lamp import Lamp

from lorgnette.assistant.background import Pending
from lorgnette.device.capture import CaptureGate, CaptureRefused
from lorgnette.device.errors import DeviceError
from lorgnette.device.microphone import CHUNK_SAMPLES
from lorgnette.device.room import Room
from lorgnette.device.sound import AudioChunk

RATE_HZ = 16_000
PACE = 8.0


def counting(seconds: float) -> AudioChunk:
    """No sample is 0 and none comes twice."""
    return AudioChunk(np.arange(1, round(seconds * RATE_HZ) + 1, dtype=np.float32) / 65_536, RATE_HZ)


def room(**settings: object) -> Room:
    return Room(CaptureGate(Lamp()), PACE, **settings)  # type: ignore[arg-type]


def between(sound: AudioChunk, span: tuple[float, float]) -> npt.NDArray[np.float32]:
    return sound.samples[round(span[0] * RATE_HZ) : round(span[1] * RATE_HZ)]


def test_an_empty_room_is_silent() -> None:
    place = room()
    place.sleep(0.2)
    assert len(place.listened().samples) > 0
    assert not place.listened().samples.any()
    assert not place.heard().samples.any()


def test_time_runs_at_the_pace_of_the_room() -> None:
    place = room()
    before, started = place.now_s, time.monotonic()
    place.sleep(0.8)
    assert place.now_s - before >= 0.8
    assert place.now_s - before == pytest.approx((time.monotonic() - started) * PACE, abs=0.5)
    assert place.at_ns(place.now_s) == pytest.approx(time.monotonic_ns(), abs=50_000_000)
    assert place.at_ns(3.0) - place.at_ns(1.0) == pytest.approx(2e9 / PACE)


def test_what_is_said_is_there_to_be_heard_at_its_time() -> None:
    place, words = room(), counting(0.5)
    place.sleep(0.3)
    span = place.say(words, level=0.5, delay_s=0.25)
    assert span[1] - span[0] == pytest.approx(0.5)
    place.sleep(1.0)
    listened = place.listened()
    assert np.array_equal(between(listened, span), words.samples * np.float32(0.5))
    assert np.count_nonzero(listened.samples) == len(words.samples)


def test_two_who_speak_at_once_are_heard_together_but_never_too_loud() -> None:
    place = room()
    loud = AudioChunk(np.full(8000, 0.75, np.float32), RATE_HZ)
    first, second = place.say(loud), place.say(loud, delay_s=0.25)
    place.sleep(1.0)
    both = between(place.listened(), (second[0], first[1]))
    assert len(both) and np.all(both == 1.0)
    assert np.all(between(place.listened(), (first[0], second[0])) == 0.75)


def test_a_recording_with_another_rate_keeps_its_length() -> None:
    place = room()
    start, end = place.say(AudioChunk(np.full(22_050, 0.5, np.float32), 22_050))
    assert end - start == pytest.approx(1.0, abs=0.01)
    place.sleep(1.3)
    assert np.count_nonzero(place.listened().samples > 0.4) == pytest.approx(RATE_HZ, abs=300)


def test_noise_is_always_there() -> None:
    noise = AudioChunk(np.linspace(0.1, 0.2, 3000, dtype=np.float32), RATE_HZ)
    place = room(noise=noise)
    place.sleep(1.0)
    listened = place.listened().samples
    assert len(listened) > 6000
    assert np.array_equal(listened, np.resize(noise.samples, len(listened)))


def test_the_microphone_hears_everything_from_when_it_is_opened() -> None:
    lamp = Lamp()
    place = Room(CaptureGate(lamp), PACE)
    place.sleep(0.3)
    with closing(place.microphone.chunks()) as chunks:  # type: ignore[type-var]
        assert not lamp.lit
        first = next(chunks)
        assert lamp.lit == {"microphone"}
        span = place.say(counting(0.5))
        heard = [first, *islice(chunks, 40)]
    assert not lamp.lit
    assert all(chunk.samples.shape == (CHUNK_SAMPLES,) and chunk.rate_hz == RATE_HZ for chunk in heard)
    steps = np.diff([chunk.timestamp_ns for chunk in heard])
    assert np.all(np.abs(steps - 32_000_000 / PACE) <= 1)
    assert first.timestamp_ns >= place.at_ns(0.25)
    samples = np.concatenate([chunk.samples for chunk in heard])
    start = round((span[0] - (first.timestamp_ns - place.at_ns(0)) / 1e9 * PACE) * RATE_HZ)
    said = counting(0.5).samples
    assert np.array_equal(samples[start : start + len(said)], said)


def test_the_microphone_can_be_pulled_out_and_put_back() -> None:
    lamp = Lamp()
    place = Room(CaptureGate(lamp), PACE)
    chunks = iter(place.microphone.chunks())
    next(chunks)
    place.unplug_microphone()
    with pytest.raises(DeviceError, match="stopped sending sound"):
        list(islice(chunks, 1000))
    assert not lamp.lit
    with pytest.raises(DeviceError, match="stopped sending sound"):
        next(iter(place.microphone.chunks()))
    assert not lamp.lit
    place.plug_microphone()
    place.say(counting(0.3))
    with closing(place.microphone.chunks()) as again:  # type: ignore[type-var]
        assert any(chunk.samples.any() for chunk in islice(again, 40))
    assert not lamp.lit


def test_without_a_lamp_the_microphone_hears_nothing() -> None:
    with pytest.raises(CaptureRefused):
        next(iter(Room(CaptureGate(Lamp(broken=True)), PACE).microphone.chunks()))


def test_a_listener_that_is_too_slow_misses_the_oldest_sound() -> None:
    place = room()
    with closing(place.microphone.chunks()) as chunks:  # type: ignore[type-var]
        first = next(chunks)
        place.sleep(6.0)
        late = next(chunks)
    assert (late.timestamp_ns - first.timestamp_ns) / 1e9 * PACE > 1.0


def test_the_loudspeaker_is_heard_on_the_same_time_line() -> None:
    place, words = room(), counting(0.5)
    playing = Pending(lambda: place.speaker.play(words), "play")
    span = place.say(AudioChunk(np.full(1600, 0.5, np.float32), RATE_HZ))
    playing.get()
    place.sleep(0.5)
    heard, listened = place.heard(), place.listened()
    assert abs(len(heard.samples) - len(listened.samples)) <= CHUNK_SAMPLES
    assert np.array_equal(heard.samples[heard.samples != 0], words.samples)
    assert np.all(between(listened, span) == 0.5), "without echo the microphone does not hear it"


def test_the_echo_comes_later_and_weaker() -> None:
    place, words = room(echo_gain=0.5, echo_delay_s=0.064), counting(0.5)
    place.speaker.play(words)
    place.sleep(0.5)
    heard, listened = place.heard().samples, place.listened().samples
    late = round(0.064 * RATE_HZ)
    length = min(len(heard), len(listened)) - late
    assert np.count_nonzero(heard) == len(words.samples)
    assert np.array_equal(listened[late : late + length], heard[:length] * np.float32(0.5))


def test_a_room_that_reverberates() -> None:
    place = room(echo_gain=0.5, echo_delay_s=0.032, echo_tail_s=0.25)
    place.speaker.play(AudioChunk(np.array([1.0], np.float32), RATE_HZ))
    place.sleep(0.5)
    heard, listened = place.heard().samples, place.listened().samples
    echo = listened[np.argmax(heard) + round(0.032 * RATE_HZ) :][:RATE_HZ]
    assert echo[0] == 0.5
    loudness = [float(np.square(echo[1 + at * 1000 : 1001 + at * 1000]).sum()) for at in range(4)]
    lost_db = 10 * np.log10(loudness[0] / np.array(loudness))
    assert lost_db == pytest.approx([0, 15, 30, 45], abs=2), "60 dB in 4,000 samples"
    assert not np.any(echo[4001:])


def test_only_so_much_is_remembered() -> None:
    place = room(kept_s=0.32)
    place.sleep(1.0)
    assert len(place.heard().samples) == len(place.listened().samples) == 10 * CHUNK_SAMPLES
