"""`ask`, `chat`, `demo` and `doctor` from the outside, with the parts that need no weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lorgnette.device.sound import AudioChunk
from lorgnette.device.wav import write_wav

ROOT = Path(__file__).parents[2]
PHOTO = str(ROOT / "examples" / "photos" / "cat.jpg")
WEIGHTLESS = ["--offline", "--set", "engine.bundle=echo", "--set", "speech.voice=silent"]


class Shell:
    """Runs `lorgnette` as a person would, with an empty cache and state of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "lorgnette.assistant.command_line.main", *arguments]
        paths = {"HOME": str(self.home), "LORGNETTE_CACHE": str(self.home / "cache"), "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, input=stdin, capture_output=True, cwd=self.home, env=paths, timeout=300)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def refused(result: subprocess.CompletedProcess[bytes]) -> str:
    """The one line of a clear refusal."""
    stderr = result.stderr.decode()
    assert result.returncode == 2, stderr
    assert result.stdout == b""
    assert "Traceback" not in stderr
    assert stderr.startswith("lorgnette: ")
    assert stderr.count("\n") == 1, stderr
    return stderr


def test_ask_prints_the_answer(shell: Shell) -> None:
    result = shell("ask", PHOTO, "--text", "Is there a cat?", *WEIGHTLESS)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout.decode() == "You asked: Is there a cat? The picture is 451 x 300.\n"


def test_ask_reads_a_picture_from_standard_input(shell: Shell) -> None:
    result = shell("ask", "-", "--text", "Well?", *WEIGHTLESS, stdin=Path(PHOTO).read_bytes())
    assert result.stdout.decode() == "You asked: Well? The picture is 451 x 300.\n"


def test_ask_prints_json_and_writes_the_sound(shell: Shell, tmp_path: Path) -> None:
    result = shell("ask", PHOTO, "--text", "Well?", "--json", "--out", "a.wav", *WEIGHTLESS)
    report = json.loads(result.stdout)
    assert report["question"] == "Well?"
    assert report["answer"].startswith("You asked")
    assert report["timings"]["first_audio_s"] > 0
    assert (tmp_path / "a.wav").stat().st_size > 10_000


def test_ask_leaves_a_trace_unless_told_not_to(shell: Shell, tmp_path: Path) -> None:
    shell("ask", PHOTO, "--text", "Well?", *WEIGHTLESS, "--set", "trace.folder=on")
    assert len((tmp_path / "on" / "turns.jsonl").read_text().splitlines()) == 1
    shell("ask", PHOTO, "--text", "Well?", *WEIGHTLESS, "--set", "trace.folder=off", "--set", "trace.enabled=false")
    assert not (tmp_path / "off").exists()


def test_chat_answers_line_by_line(shell: Shell) -> None:
    result = shell("chat", PHOTO, *WEIGHTLESS, stdin=b"One?\nTwo?\n\nThree?\n")
    assert result.returncode == 0, result.stderr.decode()
    lines = result.stdout.decode().splitlines()
    assert [line.split(" The picture")[0] for line in lines] == ["You asked: One?", "You asked: Two?"]


def test_nothing_that_was_asked_or_seen_is_in_the_log(shell: Shell) -> None:
    """Not with -v (INFO), and not with -vv either."""
    for level in ("-v", "-vv"):
        result = shell("ask", PHOTO, "--text", "Where is my passport?", "--out", "a.wav", level, *WEIGHTLESS)
        assert result.returncode == 0
        assert b"passport" not in result.stderr


def test_doctor_works_when_nothing_is_fetched(shell: Shell) -> None:
    result = shell("doctor", "--offline", "--json")
    assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert findings["onnxruntime"]["state"] == "ok"
    assert findings["whisper-base"]["state"] == "missing"
    assert findings["self-test"]["state"] == "missing"


def test_doctor_fails_on_a_broken_bundle(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    result = shell("doctor", "--offline", "--no-self-test", "--set", "engine.bundle=bundle")
    assert result.returncode == 1
    assert b"BROKEN  bundle" in result.stdout


# What a person may hand over that is no question, no picture and no recording.

BAD = {
    "no question": (["ask", PHOTO], "required"),
    "two questions": (["ask", PHOTO, "--text", "a", "--listen"], "not allowed"),
    "empty question": (["ask", PHOTO, "--text", "  "], "empty"),
    "missing picture": (["ask", "nowhere.jpg", "--text", "a"], "nowhere.jpg"),
    "empty picture": (["ask", "empty", "--text", "a"], "empty"),
    "no picture": (["ask", "words.jpg", "--text", "a"], "words.jpg"),
    "cut picture": (["ask", "cut.jpg", "--text", "a"], "cut.jpg"),
    "folder": (["ask", ".", "--text", "a"], "folder"),
    "missing recording": (["ask", PHOTO, "--audio", "nowhere.wav"], "nowhere.wav"),
    "empty recording": (["ask", PHOTO, "--audio", "empty"], "empty"),
    "no recording": (["ask", PHOTO, "--audio", "words.jpg"], "words.jpg"),
    "long recording": (["ask", PHOTO, "--audio", "long.wav"], "longer than"),
    "both from standard input": (["ask", "-", "--audio", "-"], "standard input"),
    "nothing on standard input": (["ask", "-", "--text", "a"], "empty"),
    "answer into a missing folder": (["ask", PHOTO, "--text", "a", "--out", "no/where/a.wav"], "written"),
    "chat about standard input": (["chat", "-"], "standard input"),
    "chat about nothing": (["chat", "nowhere.jpg"], "nowhere.jpg"),
    "no such example": (["demo", "nowhere"], "choose from"),
    "no such bundle": (["ask", PHOTO, "--text", "a", "--set", "engine.bundle=nowhere"], "nowhere"),
    "no weights": (["ask", PHOTO, "--text", "a", "--set", "engine.bundle="], "--offline"),
    "no transcriber": (["ask", PHOTO, "--audio", "short.wav"], "--offline"),
}


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bad things in it."""
    folder = tmp_path_factory.mktemp("larder")
    (folder / "empty").write_bytes(b"")
    (folder / "words.jpg").write_text("These are words, and no picture. " * 50)
    (folder / "cut.jpg").write_bytes(Path(PHOTO).read_bytes()[:9000])
    silence = AudioChunk(np.zeros(8000, np.float32), 8000)
    write_wav(folder / "short.wav", [silence])
    write_wav(folder / "long.wav", [silence] * 7200)
    return folder


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_clear_line(larder: Path, case: str) -> None:
    arguments, clue = BAD[case]
    assert clue in refused(Shell(larder)(arguments[0], *WEIGHTLESS, *arguments[1:]))


def test_a_camera_that_is_not_there_is_a_clear_error(larder: Path) -> None:
    """Between the lines that show the indicator."""
    result = Shell(larder)("ask", "camera", "--text", "a", "--set", "camera.index=63", *WEIGHTLESS)
    assert result.returncode == 2
    *indicator, error = result.stderr.decode().splitlines()
    assert indicator == ["[camera on]", "[camera off]"]
    assert error.startswith("lorgnette: there is no camera 63")


def test_a_question_of_a_hundred_thousand_characters_is_refused(larder: Path) -> None:
    tiny = str(ROOT / "tests" / "models" / "tiny_vlm")
    result = Shell(larder)("ask", PHOTO, "--text", "why " * 25_000, *WEIGHTLESS, "--set", f"engine.bundle={tiny}")
    assert "too long" in refused(result)
