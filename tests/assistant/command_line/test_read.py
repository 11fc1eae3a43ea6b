"""`lorgnette read` from the outside, with networks that read grey rectangles and a voice that is silent."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_text_networks import draw, write_networks

from lorgnette.assistant.command_line.main import main
from lorgnette.device.frame import Frame
from lorgnette.device.sound_file import load_sound
from lorgnette.vision.quality import ADVICE

PAGE = [
    ("EXIT", 60, 30, 300, 60),
    ("push-", 60, 200, 120, 24),
    ("Espresso", 60, 250, 160, 30),
    ("2.50", 500, 250, 60, 30),
]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line without the picture: an own cache, and the tiny networks as a person's own weights."""
    monkeypatch.setenv("LORGNETTE_CACHE", str(tmp_path / "cache"))
    networks = write_networks(tmp_path / "weights" / "tiny-reader")
    files = [
        {"path": path.name, "size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(networks.iterdir())
    ]
    licence = {"id": "CC0-1.0", "url": "https://example.org", "attribution": "nobody"}
    entry = {"title": "tiny", "use": "reading text", "entry": "", "licence": licence, "files": files, "sources": []}
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps({"spec": 1, "weights": {"tiny-reader": entry}}))
    settings = {
        "weights.extra_catalogue": catalogue,
        "weights.folder": tmp_path / "weights",
        "reading.reader": "tiny-reader",
        "speech.voice": "silent",
    }
    return ["--offline", *(f"--set={key}={value}" for key, value in settings.items()), "read"]


@pytest.fixture
def page(tmp_path: Path) -> str:
    return save(tmp_path / "page.png", draw(PAGE))


def save(path: Path, frame: Frame) -> str:
    assert cv2.imwrite(str(path), frame.pixels[:, :, ::-1])
    return str(path)


def test_a_page_is_printed_paragraph_by_paragraph(
    read: list[str], page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*read, page]) == 0
    assert capsys.readouterr().out == "EXIT\n\npush- Espresso 2.50\n"


def test_a_page_is_spoken_into_a_file(
    read: list[str], page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*read, page, "--out", str(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().out.startswith("EXIT\n")
    assert load_sound(tmp_path / "a.wav", 60.0).duration_s > 0.5


def test_json(read: list[str], page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*read, page, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["image"], report["width"], report["height"]) == (page, 640, 480)
    assert report["said"] == ["EXIT", "push- Espresso 2.50"]
    assert [line["text"] for line in report["lines"]] == ["EXIT", "push-", "Espresso 2.50"]
    for line in report["lines"]:
        assert 0.9 < line["confidence"] <= 1.0
        left_top, right_top, right_bottom, left_bottom = line["corners"]
        assert left_top[0] < right_top[0] and left_bottom[0] < right_bottom[0]
        assert left_top[1] < left_bottom[1] and right_top[1] < right_bottom[1]


def test_a_page_without_text_says_so(read: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiles = np.random.default_rng(0).integers(140, 255, (12, 16, 3), dtype=np.uint8)
    bright = Frame(tiles.repeat(20, axis=0).repeat(20, axis=1))
    assert main([*read, save(tmp_path / "tiles.png", bright), "--out", str(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().out == "I can't see any text.\n"
    assert load_sound(tmp_path / "a.wav", 60.0).duration_s > 0


def test_a_bad_frame_gets_advice(read: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blank = save(tmp_path / "blank.png", Frame(np.full((240, 320, 3), 255, np.uint8)))
    assert main([*read, blank, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["said"] == [ADVICE["blank"]]
    assert report["lines"] == []


def test_bad_input_is_one_clear_line(read: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.jpg").write_text("I am no picture. " * 50)
    for name, complaint in (("missing.jpg", "there is no file"), ("text.jpg", "not a picture that can be read")):
        assert main([*read, str(tmp_path / name)]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert complaint in output.err and output.err.count("\n") == 1


def test_weights_that_are_missing_are_one_clear_line(
    read: list[str], page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*read, page, "--set", "reading.reader=pp-ocrv6-small"]) == 2
    assert "pp-ocrv6-small (31 MB) is not on this machine" in capsys.readouterr().err
