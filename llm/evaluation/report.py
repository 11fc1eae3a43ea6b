"""The report of an evaluation: one JSON object, and the same as a table of text."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from lorgnette.llm.evaluation.answers import Answer
from lorgnette.llm.evaluation.calibration import Reliability
from lorgnette.llm.evaluation.scoring import KindScore, TaskScore, confidence
from lorgnette.llm.evaluation.selection import Selection
from lorgnette.llm.evaluation.statistics import Estimate, Figure
from lorgnette.llm.evaluation.task import Condition

FORMAT = 1
Record = dict[str, Any]


def make_report(
    engine: Mapping[str, object],
    selections: Sequence[Selection],
    scores: Sequence[TaskScore],
    unreadable: Sequence[str],
    seed: int,
) -> Record:
    """Everything that was measured, ready for `json.dumps`; docs/evaluation.md describes it."""
    fitted = confidence(scores)
    return {
        "format": FORMAT,
        "lorgnette": version("lorgnette"),
        "engine": dict(engine),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "seed": seed,
        "data": [_data(selection) for selection in selections],
        "tasks": [_task(task) for task in scores],
        "confidence": _confidence(fitted) if fitted else None,
        "speed": _speed([entry.answer for task in scores for group in task.judged.values() for entry in group]),
        "unreadable": list(unreadable),
    }


def table(report: Record) -> str:
    """The figures as lines of text: picture, shuffled, blind, each with its interval."""
    lines = []
    for task in report["tasks"]:
        lines.append(f"{task['data']}: {task['title']} ({task['questions']} questions)")
        if task["skipped"]:
            lines.append(f"  skipped: {task['skipped']}")
        for figure in task["figures"]:
            shown = [f"{figure['name']:<38}"]
            shown += [f"{name} {interval(figure[name]):<22}" for name in Condition if name in figure]
            lines.append("  " + " ".join(shown).rstrip())
    fitted, speed = report["confidence"], report["speed"]
    if fitted:
        lines.append(f"confidence: calibration error {fitted['ece']:.3f} over {fitted['answers']} answers")
    if speed["answers"]:
        lines.append(f"speed: {1000 * speed['answer_s']:.0f} ms an answer, {1000 * speed['look_s']:.0f} ms a picture")
    lines += [f"left out: {line}" for line in report["unreadable"]]
    return "\n".join(lines)


def interval(value: Mapping[str, float]) -> str:
    return f"{value['value']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"


def _data(selection: Selection) -> Record:
    return {
        "name": selection.name,
        "path": str(selection.source.path),
        "split": selection.split,
        "photos": len(selection.chosen),
        "photos_in_set": len(selection.source.photos),
    }


def _task(task: TaskScore) -> Record:
    run = task.run
    return {
        "data": run.selection.name,
        "task": run.task.name,
        "title": run.task.title,
        "questions": len(run.items),
        "skipped": run.skipped,
        "guess": None if task.guess is None else round(task.guess, 2),
        "figures": [_figure(figure, task) for figure in run.task.figures if figure.name in task.figures],
        "kinds": [_kind(kind) for kind in task.kinds],
    }


def _figure(figure: Figure, task: TaskScore) -> Record:
    """`sums` are what `--compare` resamples: for each photograph what the formula is applied to."""
    values = task.figures[figure.name]
    sums = {photo: [round(value, 5) for value in stats] for photo, stats in task.sums.get(figure.name, {}).items()}
    return asdict(figure) | {str(condition): _estimate(value) for condition, value in values.items()} | {"sums": sums}


def _kind(kind: KindScore) -> Record:
    return {
        "kind": kind.kind,
        "questions": kind.questions,
        "missing": kind.missing,
        "right": {str(condition): _estimate(value) for condition, value in kind.right.items()},
        "errors": [{"said": said, "times": times} for said, times in kind.errors],
    }


def _estimate(value: Estimate) -> Record:
    return {
        "value": round(value.value, 2),
        "low": round(value.low, 2),
        "high": round(value.high, 2),
        "photos": value.count,
    }


def _confidence(fitted: Reliability) -> Record:
    return {
        "slope": round(fitted.calibration.slope, 5),
        "intercept": round(fitted.calibration.intercept, 5),
        "ece": round(fitted.ece, 4),
        "ece_plain": round(fitted.ece_plain, 4),
        "answers": fitted.count,
        "bins": [{key: round(value, 4) for key, value in asdict(entry).items()} for entry in fitted.bins],
    }


def _speed(answers: Sequence[Answer]) -> Record:
    """Medians in seconds; `first_token_s` is from a picture never seen to the first token of an answer."""
    free = [answer for answer in answers if answer.tokens]
    looked = [answer for answer in answers if answer.look_seconds]
    first = [answer.look_seconds + answer.first_seconds for answer in looked if answer.first_seconds]
    return {
        "answers": len(free),
        "answer_s": _median([answer.seconds for answer in free]),
        "tokens": _median([answer.tokens for answer in free]),
        "look_s": _median([answer.look_seconds for answer in looked]),
        "first_token_s": _median(first),
        "choice_s": _median([answer.seconds for answer in answers if answer.scores]),
    }


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 4) if values else 0.0
