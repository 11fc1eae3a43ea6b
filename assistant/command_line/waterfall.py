"""A turn drawn as bars over time, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorgnette.assistant.trace import TurnTrace

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 32


def waterfall(trace: TurnTrace) -> Table:
    """One row for each stage: when it began after the question had ended, how long it took, and a bar."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    stages = trace.stages()
    first = min((stage.start_ns for stage in stages), default=trace.asked_at_ns)
    span = max((stage.end_ns for stage in stages), default=first + 1) - first
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    table.add_column("at", justify="right")
    table.add_column("took", justify="right")
    table.add_column("", width=_WIDTH, no_wrap=True)
    for stage in stages:
        before = round((stage.start_ns - first) / span * (_WIDTH - 1))
        length = max(1, round((stage.end_ns - stage.start_ns) / span * (_WIDTH - before)))
        at_ms = (stage.start_ns - trace.asked_at_ns) / 1e6
        bar = Text(" " * before + "\N{FULL BLOCK}" * min(length, _WIDTH - before))
        table.add_row(stage.name, f"{at_ms:.0f} ms", f"{stage.duration_ms:.0f} ms", bar)
    return table


def summary(trace: TurnTrace) -> str:
    """The figures that matter, in one line."""
    parts = []
    if trace.first_audio_s is not None:
        parts.append(f"first sound {trace.first_audio_s:.2f} s after the question")
    if trace.tokens_per_s is not None:
        parts.append(f"{trace.tokens_per_s:.0f} tokens/s")
    if trace.picture_cached:
        parts.append("picture known already")
    return ", ".join(parts)
