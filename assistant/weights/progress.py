"""What a person sees while weights come in: a bar on a terminal, a line elsewhere, always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Report = Callable[[int], None]
"""Takes the bytes done so far."""


class PullProgress(Protocol):
    """Shows transfers and says things."""

    def transfer(self, label: str, total_bytes: int) -> AbstractContextManager[Report]: ...

    def say(self, text: str) -> None: ...


class RichProgress:
    """The one people see."""

    @contextmanager
    def transfer(self, label: str, total_bytes: int) -> Iterator[Report]:
        # Rich takes 50 ms to import, which a start with all weights in place should not pay.
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        if not sys.stderr.isatty():
            self.say(f"{label} ({total_bytes / 1e6:.1f} MB)")
            yield lambda done: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(label, total=total_bytes)
            yield lambda done: progress.update(task, completed=min(done, total_bytes))
            progress.update(task, completed=total_bytes)

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class SilentProgress:
    """For programs that embed the store and want no talk."""

    @contextmanager
    def transfer(self, label: str, total_bytes: int) -> Iterator[Report]:
        yield lambda done: None

    def say(self, text: str) -> None:
        return
