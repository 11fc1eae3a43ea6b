"""The command: what it refuses before anything is loaded, and what it makes of files."""

from __future__ import annotations

from pathlib import Path

import pytest
from parrot import make_jpeg

from lorgnette.assistant.command_line.main import main
from lorgnette.assistant.command_line.simulate import read_camera_file, read_tape
from lorgnette.assistant.simulator.recording import Recording
from lorgnette.assistant.simulator.tape_file import pack_tape


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--camera", "none.jpg"], "there is no file none.jpg"),
        (["--camera", "text.jpg"], "text.jpg is neither a picture nor a video"),
        (["--camera", "cut.jpg"], "cut.jpg is cut short"),
        (["--camera", "empty.mp4"], "empty.mp4 is empty"),
        (["--replay", "none.zip"], "there is no file none.zip"),
        (["--replay", "text.jpg"], "text.jpg is not an exported conversation"),
    ],
)
def test_files_that_are_refused(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.jpg").write_text("no picture")
    Path("cut.jpg").write_bytes(make_jpeg()[:-30])
    Path("empty.mp4").touch()
    assert main(["simulate", "--no-browser", *arguments]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_ports_that_are_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", "--port", port])
    assert "a port is a number from 0 to 65535" in capsys.readouterr().err


def test_camera_files(tmp_path: Path) -> None:
    (tmp_path / "seen.jpeg").write_bytes(make_jpeg())
    (tmp_path / "seen.MP4").write_bytes(b"for the browser to say")
    assert read_camera_file(tmp_path / "seen.jpeg").kind == "image/jpeg"
    assert read_camera_file(tmp_path / "seen.MP4").kind == "video/mp4"


def test_tapes(tmp_path: Path) -> None:
    (tmp_path / "tape.zip").write_bytes(pack_tape(Recording().tape()))
    assert read_tape(tmp_path / "tape.zip").commands == ()
