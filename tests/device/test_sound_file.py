"""Recordings of every kind come in as 16 kHz mono, and everything else as one clear line."""

from __future__ import annotations

import io
import struct
import sys
import time
import tracemalloc
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from lorgnette.device.errors import InputError
from lorgnette.device.resample import Resampler, resample
from lorgnette.device.sound import AudioChunk
from lorgnette.device.sound_file import load_sound
from lorgnette.device.sound_level import measure_level
from lorgnette.device.wav import WavFile, write_wav


def tone(seconds: float, rate_hz: int, frequency_hz: float = 440.0, size: float = 0.5) -> np.ndarray:
    return (size * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def packed(samples: np.ndarray, width: int) -> bytes:
    """Float samples as WAV stores them: unsigned for 8 bits, signed little-endian above."""
    if width == 1:
        return (samples * 127 + 128).astype(np.uint8).tobytes()
    whole = (samples.astype(np.float64) * (2**31 - 1)).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes()


def save_wav(path: Path, samples: np.ndarray, rate_hz: int, width: int = 2) -> Path:
    """`samples` has shape (n,) or (n, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1 if samples.ndim == 1 else samples.shape[1], width, rate_hz, 0, "NONE", ""))
        file.writeframes(packed(samples.reshape(-1), width))
    return path


def save_float_wav(path: Path, samples: np.ndarray, rate_hz: int) -> Path:
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, rate_hz, rate_hz * 4, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def save_coded(path: Path, samples: np.ndarray, rate_hz: int, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"
        size = stream.codec_context.frame_size or None
        to_codec = AudioResampler(format=stream.format, layout="mono", rate=rate_hz, frame_size=size)
        frame = AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        for piece in [*to_codec.resample(frame), *to_codec.resample(None), None]:
            container.mux(stream.encode(piece))
    return path


def is_tone(samples: np.ndarray, frequency_hz: float, rate_hz: int = 16_000) -> bool:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return abs(int(spectrum.argmax()) * rate_hz / len(samples) - frequency_hz) < 5


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 48_000])
def test_wav(width: int, rate_hz: int, tmp_path: Path) -> None:
    sound = load_sound(save_wav(tmp_path / "a.wav", tone(1, rate_hz), rate_hz, width), 60)
    assert sound.rate_hz == 16_000 and sound.samples.dtype == np.float32
    assert sound.duration_s == pytest.approx(1, abs=0.01)
    assert is_tone(sound.samples, 440) and 0.48 < np.abs(sound.samples).max() < 0.53


def test_float_wav_beyond_full_scale(tmp_path: Path) -> None:
    sound = load_sound(save_float_wav(tmp_path / "a.wav", tone(1, 16_000, size=3.0), 16_000), 60)
    assert np.abs(sound.samples).max() == 1.0 and measure_level(sound).is_clipped


@pytest.mark.parametrize(
    "name, codec", [("a.flac", "flac"), ("a.ogg", "libopus"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac")]
)
def test_coded(name: str, codec: str, tmp_path: Path) -> None:
    sound = load_sound(save_coded(tmp_path / name, tone(1, 48_000), 48_000, codec), 60)
    assert sound.duration_s == pytest.approx(1, abs=0.1)
    assert is_tone(sound.samples[2000:14_000], 440)


def test_stereo_is_averaged(tmp_path: Path) -> None:
    both = np.stack([tone(1, 16_000, size=0.9)] * 2, axis=1)
    for samples, size in ((both, 0.9), (both * [1, 0], 0.45)):
        sound = load_sound(save_wav(tmp_path / "a.wav", samples, 16_000), 60)
        assert np.abs(sound.samples).max() == pytest.approx(size, abs=0.01)


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = save_wav(tmp_path / "a.wav", tone(1, 16_000), 16_000).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert load_sound("-", 60).duration_s == pytest.approx(1)


def test_two_hours_are_refused_by_the_header(tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    with wave.open(str(file), "wb") as writer:
        writer.setparams((1, 2, 8_000, 0, "NONE", ""))
        for _ in range(72):
            writer.writeframes(bytes(2 * 8_000 * 100))
    tracemalloc.start()
    started_s = time.monotonic()
    with pytest.raises(InputError, match="longer than 60 seconds"):
        load_sound(file, 60)
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20 and time.monotonic() - started_s < 5
    tracemalloc.stop()


def test_long_sound_under_a_lying_header_is_cut_off(tmp_path: Path) -> None:
    file = save_coded(tmp_path / "a.flac", tone(90, 16_000), 16_000, "flac")
    data = bytearray(file.read_bytes())
    data[8 + 13 : 8 + 18] = bytes([data[8 + 13] & 0xF0, 0, 0, 0, 0])  # FLAC's number of samples: unknown
    file.write_bytes(data)
    with pytest.raises(InputError, match="longer than 60 seconds"):
        load_sound(file, 60)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{other}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{other}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_recording_cannot_name_other_files(kind: str, tmp_path: Path) -> None:
    other = save_wav(tmp_path / "other.wav", tone(1, 16_000), 16_000)
    file = tmp_path / "playlist.wav"
    file.write_text(PLAYLISTS[kind].format(other=other))
    with pytest.raises(InputError, match="is not a recording that can be read"):
        load_sound(file, 60)


def test_what_is_not_sound(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("la la la " * 500)
    (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(50_000))
    (tmp_path / "header.wav").write_bytes(save_wav(tmp_path / "a.wav", tone(1, 16_000), 16_000).read_bytes()[:44])
    (tmp_path / "stub.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:20])
    expected = {
        "empty.wav": "is empty",
        "text.wav": "is not a recording",
        "noise.mp3": "is not a recording|holds no sound",
        "header.wav": "is not a recording|holds no sound",
        "stub.wav": "is not a recording",
        "missing.wav": "there is no file",
        "": "is a folder, not a recording",
    }
    for name, line in expected.items():
        with pytest.raises(InputError, match=line):
            load_sound(tmp_path / name, 60)
    assert capfd.readouterr().err == ""


def test_half_a_recording_still_gives_its_half(tmp_path: Path) -> None:
    data = save_wav(tmp_path / "a.wav", tone(2, 16_000), 16_000).read_bytes()
    (tmp_path / "half.wav").write_bytes(data[: len(data) // 2])
    assert load_sound(tmp_path / "half.wav", 60).duration_s == pytest.approx(1, abs=0.05)


def test_level() -> None:
    assert measure_level(AudioChunk(np.zeros(16_000, np.float32), 16_000)).is_silent
    assert measure_level(AudioChunk(np.zeros(0, np.float32), 16_000)).is_silent
    quiet = measure_level(AudioChunk(tone(1, 16_000, size=0.01), 16_000))
    assert not quiet.is_silent and not quiet.is_clipped
    assert measure_level(AudioChunk(np.clip(tone(1, 16_000, size=4.0), -1, 1), 16_000)).is_clipped


def test_resampling_in_pieces_equals_all_at_once() -> None:
    samples = tone(1, 22_050)
    resampler = Resampler(16_000)
    pieces = [resampler.push(piece, 22_050) for piece in np.array_split(samples, 37)]
    joined = np.concatenate([*pieces, resampler.flush()])
    assert np.allclose(joined, resample(samples, 22_050, 16_000), atol=1e-6)


def test_write_and_read_back(tmp_path: Path) -> None:
    samples = tone(1, 16_000)
    assert write_wav(tmp_path / "a.wav", [AudioChunk(part, 16_000) for part in np.array_split(samples, 7)]) == 1.0
    assert np.abs(load_sound(tmp_path / "a.wav", 60).samples - samples).max() < 1e-4
    assert [file.name for file in tmp_path.iterdir()] == ["a.wav"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"the old one")
    with pytest.raises(RuntimeError, match="in mid-write"), WavFile(path) as file:
        file.append(AudioChunk(tone(1, 16_000), 16_000))
        raise RuntimeError("in mid-write")
    assert path.read_bytes() == b"the old one" and len(list(tmp_path.iterdir())) == 1


def test_nothing_to_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sound to write"):
        write_wav(tmp_path / "a.wav", [])
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_wav(tmp_path / "no folder" / "a.wav", [AudioChunk(tone(1, 16_000), 16_000)])
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_wav(tmp_path / "folder.wav", [AudioChunk(tone(1, 16_000), 16_000)])
    assert [file.name for file in tmp_path.iterdir()] == ["folder.wav"]
