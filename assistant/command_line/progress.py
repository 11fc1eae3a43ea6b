"""Progress of long work on standard error: a bar on a terminal, one line for each stage elsewhere."""

from __future__ import annotations

import sys
from typing import Any


class BuildProgress:
    """Shows the building of a bundle: called with the stage and how much is done (0 to 1). Nothing appears before the
    first call, nor when everything is in place."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, stage: str, done: float) -> None:
        if not sys.stderr.isatty():
            if stage != self._stage:
                print(f"building the model: {stage}", file=sys.stderr, flush=True)
            self._stage = stage
            return
        if self._bar is None:
            self._start()
        self._bar.update(self._task, description=f"building the model: {stage}", completed=done)
        if done >= 1.0:
            self._bar.stop()
            self._bar = None

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("", total=1.0)
        self._bar.start()
