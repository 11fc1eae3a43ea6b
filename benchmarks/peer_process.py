"""Another program to compare with, in an environment and a process of its own; they speak in lines of JSON.

The process writes a line when it is ready, and then one for each line that it reads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lorgnette.device.errors import LorgnetteError

REPOSITORY = Path(__file__).resolve().parents[1]


def make_environment(folder: Path, name: str, installs: Sequence[Sequence[str]], constraints: str = "") -> Path:
    """The Python of an environment in `folder`, made by one `pip install` for each of `installs`, unless it is there
    already. `name` is the peer, with its version."""
    python = folder / "bin" / "python"
    note, wanted = folder / "constraints.txt", f"# {name}\n{constraints}"
    if note.is_file() and note.read_text("utf-8") == wanted:
        return python
    print(f"installing {name} into {folder} ...", file=sys.stderr)
    venv.create(folder, symlinks=True, with_pip=True)
    unfinished = note.with_suffix(".part")
    unfinished.write_text(wanted, "utf-8")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"-c{unfinished}"]
    for requirements in installs:
        run_checked([*command, *requirements], f"pip could not install {name}", "is a package index reachable?")
    unfinished.rename(note)
    return python


def run_checked(command: Sequence[str], problem: str, hint: str) -> None:
    """Run a program to its end. Raises LorgnetteError with the last line that it said, if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LorgnetteError(f"{problem}: {last}", hint)


class PeerProcess(AbstractContextManager["PeerProcess"]):
    """A peer, ready once the context is entered; `greeting` is its first line."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = list(command)
        self._environment = os.environ | dict(environment)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environment
        )
        self.greeting = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LorgnetteError(f"the peer's process ended with {self._process.wait()}", "read what it said above")
        found: dict[str, Any] = json.loads(line)
        return found
