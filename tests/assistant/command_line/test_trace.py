"""`lorgnette trace` from the outside: what was asked before is shown afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorgnette.assistant.command_line.main import main
from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.trace import TraceLog

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    return ["--offline", f"--set=trace.folder={tmp_path}", "--set=engine.bundle=echo", "--set=speech.voice=silent"]


@pytest.fixture
def asked(settings: list[str], tmp_path: Path, capsys: Captured) -> list[str]:
    """The settings, after three questions."""
    photo = str(shipped_examples()["coffee"].photo)
    for number in range(3):
        out = ["--out", str(tmp_path / "answer.wav")] if number == 2 else []
        assert main([*settings, "ask", photo, "--text", " ".join(["Why?"] * (number + 1)), *out]) == 0
    capsys.readouterr()
    return settings


def test_the_last_turn_is_drawn(asked: list[str], capsys: Captured) -> None:
    assert main([*asked, "trace"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("echo, written, answered") == 1
    assert "speak" in shown
    assert "\N{FULL BLOCK}" in shown
    assert "first sound" in shown
    assert "Why?" not in shown


def test_several_turns_the_newest_last(asked: list[str], capsys: Captured) -> None:
    assert main([*asked, "trace", "--last", "2"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "echo, written" in line]
    counts = [int(line.split(", ")[3].split()[0]) for line in lines]
    assert counts == sorted(counts)
    assert len(counts) == 2


def test_as_json_with_figures_and_stages(asked: list[str], tmp_path: Path, capsys: Captured) -> None:
    assert main([*asked, "trace", "--last", "9", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    traces = TraceLog(tmp_path).last(9)
    assert [record["tokens"] for record in records] == [trace.tokens for trace in traces]
    assert len(records) == 3
    newest, last = records[-1], traces[-1]
    assert newest["first_audio_s"] == last.first_audio_s
    assert [stage["name"] for stage in newest["stages"]] == [stage.name for stage in last.stages()]
    assert all(stage["took_ms"] >= 0 for stage in newest["stages"])


def test_before_the_first_turn_it_says_so(settings: list[str], capsys: Captured) -> None:
    assert main([*settings, "trace"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("no turns yet")
    assert main([*settings, "trace", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["--last", "0"], "--last takes 1 or more"), (["--set", "trace.enabled=false"], "no traces are kept")],
)
def test_what_cannot_be_shown_is_one_line(
    settings: list[str], arguments: list[str], complaint: str, capsys: Captured
) -> None:
    assert main([*settings, "trace", *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_a_broken_log_is_said(settings: list[str], tmp_path: Path, capsys: Captured) -> None:
    TraceLog(tmp_path).path.write_text('{"began": 1}\n')
    assert main([*settings, "trace"]) == 2
    assert "cannot read the traces" in capsys.readouterr().err
