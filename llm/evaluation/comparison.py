"""Two reports of the same questions, figure by figure: the difference and whether it is more than chance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from lorgnette.device.errors import InputError
from lorgnette.llm.evaluation.report import FORMAT, Record, interval
from lorgnette.llm.evaluation.statistics import FORMULAS, Figure, difference
from lorgnette.llm.evaluation.task import Condition

_HINT = "give two files report.json that lorgnette evaluate wrote"


def compare(first: Path, second: Path) -> Record:
    """For each figure that both reports have: both values, and first minus second on the photographs that both used,
    with the interval of that difference (paired bootstrap). Raises InputError."""
    ours, theirs = _read(first), _read(second)
    figures = []
    others = {key: figure for key, figure in _figures(theirs)}
    for key, figure in _figures(ours):
        other = others.get(key)
        if other is None:
            continue
        estimate = difference(_formula(figure, first), figure["sums"], other["sums"])
        if estimate is not None:
            data, task, name = key
            figures.append(
                {
                    "data": data,
                    "task": task,
                    "figure": name,
                    "unit": figure["unit"],
                    "first": figure[Condition.PICTURE],
                    "second": other[Condition.PICTURE],
                    "difference": {
                        "value": round(estimate.value, 2),
                        "low": round(estimate.low, 2),
                        "high": round(estimate.high, 2),
                        "photos": estimate.count,
                    },
                }
            )
    if not figures:
        raise InputError("the two reports have no figure in common", "run both on the same data sets")
    return {"first": ours["engine"], "second": theirs["engine"], "figures": figures}


def comparison_table(record: Record) -> str:
    lines = [f"{'':<52} {'first':>8} {'second':>8}  difference"]
    for row in record["figures"]:
        name = f"{row['data']} {row['task']}: {row['figure']}"
        first, second = row["first"]["value"], row["second"]["value"]
        lines.append(f"{name:<52} {first:8.1f} {second:8.1f}  {interval(row['difference'])}")
    return "\n".join(lines)


def _read(path: Path) -> Record:
    try:
        report = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the report {path}", _HINT) from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise InputError(f"{path} is not a report of this version", _HINT)
    return report


def _figures(report: Record) -> Iterator[tuple[tuple[str, str, str], Any]]:
    for task in report["tasks"]:
        for figure in task["figures"]:
            if Condition.PICTURE in figure:
                yield (task["data"], task["task"], figure["name"]), figure


def _formula(figure: Record, path: Path) -> Figure:
    if figure["formula"] not in FORMULAS:
        raise InputError(f"{path} uses the formula {figure['formula']!r}, which this version does not know", _HINT)
    return Figure(**{entry.name: figure[entry.name] for entry in fields(Figure)})
