"""Bad pictures, recordings and texts at the command line: one clear line, exit code 2, nothing on standard output."""

from __future__ import annotations

import struct
import wave
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from lorgnette.assistant.command_line.main import main

EXAMPLES = Path(__file__).parents[3] / "examples"
PHOTO = str(EXAMPLES / "photos" / "cat.jpg")


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """Runs `command`, which has to be refused, and returns the line that says why."""
    assert main(["--offline", *command]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("lorgnette: ") and "Traceback" not in output.err
    return lines[0]


def save_wav(path: Path, samples: np.ndarray, rate_hz: int = 16_000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder of bad pictures and recordings."""
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("I am no picture. " * 50)
    photo = Path(PHOTO).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(photo[: len(photo) // 2])
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(bytes(100))) + png_chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("I am no sound. " * 50)
    save_wav(tmp_path / "silent.wav", np.zeros(16_000))
    with wave.open(str(tmp_path / "long.wav"), "wb") as file:
        file.setparams((1, 1, 8_000, 0, "NONE", ""))
        for _ in range(72):
            file.writeframes(b"\x80" * 800_000)
    return tmp_path


PICTURES = {
    "empty.jpg": "is empty (zero bytes)",
    "text.jpg": "is not a picture that can be read",
    "cut.jpg": "is cut short",
    "bomb.png": "is too large: 12000 x 12000 pixels",
    "missing.jpg": "there is no file",
    ".": "is a folder, not a picture",
}
RECORDINGS = {
    "empty.wav": "is empty (zero bytes)",
    "text.wav": "is not a recording that can be read",
    "long.wav": "is longer than",
    "missing.wav": "there is no file",
    ".": "is a folder, not a recording",
}


@pytest.mark.parametrize("name", PICTURES)
def test_ask_about_a_bad_picture(name: str, bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert PICTURES[name] in refused(capsys, "ask", str(bad / name), "--text", "What is it?")


@pytest.mark.parametrize("name", RECORDINGS)
def test_ask_with_a_bad_recording(name: str, bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert RECORDINGS[name] in refused(capsys, "ask", PHOTO, "--audio", str(bad / name))


@pytest.mark.parametrize("name", [*RECORDINGS, "silent.wav"])
def test_transcribe_a_bad_recording(name: str, bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = RECORDINGS.get(name, "is silent (check the microphone")
    assert expected in refused(capsys, "transcribe", str(bad / name))


def test_say_nothing_or_too_much(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "a.wav"))
    assert "there is nothing to say" in refused(capsys, "say", "  ", *out)
    assert "more than 20,000 characters" in refused(capsys, "say", "la " * 33_334, *out)
    assert "cannot be written" in refused(capsys, "say", "hello", "--out", str(tmp_path / "none" / "a.wav"))
    assert not list(tmp_path.iterdir())


@pytest.mark.weights
def test_say_and_transcribe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "said.wav"
    assert main(["say", "There is a dog on the grass.", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert main(["transcribe", str(out)]) == 0
    assert "dog on the grass" in capsys.readouterr().out.lower()


@pytest.mark.weights
def test_say_what_cannot_be_pronounced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "can be pronounced" in refused(capsys, "say", "...", "--out", str(tmp_path / "a.wav"))
    assert not list(tmp_path.iterdir())


@pytest.mark.weights
def test_transcribe_noise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_wav(tmp_path / "hiss.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 32_000))
    assert "nobody speaks in" in refused(capsys, "transcribe", str(tmp_path / "hiss.wav"))


@pytest.mark.weights
def test_clipped_speech_is_transcribed_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with wave.open(str(EXAMPLES / "questions" / "astronaut.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    save_wav(tmp_path / "loud.wav", np.clip(samples * 6, -1, 1))
    assert main(["transcribe", str(tmp_path / "loud.wav")]) == 0
    output = capsys.readouterr()
    assert "person" in output.out and "is overloaded" in output.err


def test_pictures_that_only_look_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alpha, 16 bits and a wrong name are all fine: the echo engine gets as far as an answer."""
    pixels = np.full((40, 60, 4), 65535, np.uint16)
    assert cv2.imwrite(str(tmp_path / "deep.png"), pixels)
    (tmp_path / "deep.png").rename(tmp_path / "deep.jpg")
    command = ["ask", str(tmp_path / "deep.jpg"), "--text", "What is it?", "--set", 'engine.bundle="echo"', "--offline"]
    assert main(command) == 0
    assert capsys.readouterr().out.strip()
