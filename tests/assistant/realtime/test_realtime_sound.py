"""Sound as it travels, against FFmpeg's own coders."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame

from lorgnette.assistant.realtime.conversation import Part
from lorgnette.assistant.realtime.sound_format import FORMATS

SAMPLES = np.sin(np.arange(8000) * 0.05).astype(np.float32) * np.linspace(0, 0.999, 8000, dtype=np.float32)


@pytest.mark.parametrize(("law", "codec"), [("audio/pcmu", "pcm_mulaw"), ("audio/pcma", "pcm_alaw")])
def test_every_code_means_what_ffmpeg_says(law: str, codec: str) -> None:
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate = 8000  # type: ignore[attr-defined]
    decoder.layout = "mono"  # type: ignore[attr-defined]
    codes = bytes(range(256))
    (frame,) = decoder.decode(av.Packet(codes))
    assert isinstance(frame, AudioFrame)
    np.testing.assert_array_equal(FORMATS[law].decode(codes) * 32768, frame.to_ndarray().reshape(-1))


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
def test_a_sample_becomes_the_nearest_code(law: str) -> None:
    form = FORMATS[law]
    levels = np.sort(form.decode(bytes(range(256))))
    there = form.decode(form.encode(SAMPLES))
    nearest = np.abs(SAMPLES[:, None] - levels).min(axis=1)
    np.testing.assert_allclose(np.abs(there - SAMPLES), nearest, atol=4 / 32768)


def test_pcm_comes_back_as_it_was() -> None:
    form = FORMATS["audio/pcm"]
    np.testing.assert_allclose(form.decode(form.encode(SAMPLES)), SAMPLES, atol=2 / 32768)
    assert form.encode(np.array([0.5], np.float32)) == (16384).to_bytes(2, "little")


@pytest.mark.parametrize(
    ("heard_s", "kept"),
    [
        (0.0, ""),
        (0.1, ""),
        (1.0, "A small"),
        (2.0, "A small brown dog."),
        (2.9, "A small brown dog. It is"),
        (9.0, "A small brown dog. It is asleep."),
    ],
)
def test_of_a_clause_the_words_stay_that_were_heard(heard_s: float, kept: str) -> None:
    part = Part("output_audio", "A small brown dog. It is asleep.")
    part.spoken = [("A small brown dog.", 2.0), ("It is asleep.", 3.5)]
    part.truncate(heard_s)
    assert part.text == kept
    assert part.spoken_s == min(heard_s, 3.5)
