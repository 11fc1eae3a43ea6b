"""The command as people meet it: a real process, its exit codes and its two streams."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lorgnette.assistant.command_line.main import COMMANDS

COMMAND = [sys.executable, "-m", "lorgnette.assistant.command_line.main"]


def lorgnette(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LORGNETTE_CACHE": str(cache), "XDG_CONFIG_HOME": str(cache / "config")}
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, cwd="/", timeout=120)


def test_version_and_help(tmp_path: Path) -> None:
    assert lorgnette("--version", cache=tmp_path).stdout.startswith("lorgnette ")
    shown = lorgnette("--help", cache=tmp_path)
    assert shown.returncode == 0
    for name in COMMANDS:
        assert name in shown.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name: str, tmp_path: Path) -> None:
    shown = lorgnette(name, "--help", cache=tmp_path)
    assert shown.returncode == 0, shown.stderr
    module = importlib.import_module(COMMANDS[name])
    assert (module.__doc__ or "").splitlines()[0] in " ".join(shown.stdout.split())
    assert f"lorgnette {name}" in shown.stdout.partition("options:")[2]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["models", "list", "--colour"], "unrecognized arguments: --colour"),
        (["models", "list", "--set", "engine.tokens=3"], "engine.tokens: no such setting"),
        (["--set", "threads=x", "models", "list"], "threads: must be a whole number"),
        (["models", "list", "--config", "/nowhere.toml"], "cannot read the config file /nowhere.toml"),
        (["models", "pull", "nonsense"], "no weights are called 'nonsense'"),
        (["--offline", "models", "pull", "whisper-base"], "whisper-base (150 MB) is not on this machine"),
        (["models", "pull", "whisper-base", "--offline"], "whisper-base (150 MB) is not on this machine"),
        (["models", "remove"], "remove what?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    done = lorgnette(*arguments, cache=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("lorgnette: ")
    assert complaint in done.stderr


def test_no_command_shows_the_help_and_fails(tmp_path: Path) -> None:
    done = lorgnette(cache=tmp_path)
    assert done.returncode == 2
    assert "usage: lorgnette" in done.stderr


def test_models_list_gives_records(tmp_path: Path) -> None:
    done = lorgnette("models", "list", "--json", cache=tmp_path)
    records = {record["name"]: record for record in json.loads(done.stdout)}
    assert records["whisper-base"]["state"] == "missing"
    assert records["whisper-base"]["bytes"] == 150218479
    assert done.returncode == 0
    assert done.stderr == ""


def test_models_verify_tells_missing_weights_by_exit_code(tmp_path: Path) -> None:
    done = lorgnette("models", "verify", "whisper-base", "--json", cache=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)[0]["damaged"]
    assert "lorgnette models pull whisper-base" in done.stderr


def test_a_reader_that_has_enough_hears_no_complaint(tmp_path: Path) -> None:
    environment = os.environ | {"LORGNETTE_CACHE": str(tmp_path)}
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [*COMMAND, "models", "list", "--json"]
    done = subprocess.run(command, env=environment, stdout=write_end, stderr=subprocess.PIPE)
    os.close(write_end)
    assert done.stderr == b""
    assert done.returncode == 141
