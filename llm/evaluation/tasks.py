"""The tasks by name, in the order in which they are reported."""

from __future__ import annotations

from collections.abc import Sequence

from lorgnette.device.errors import InputError
from lorgnette.llm.evaluation.caption_tasks import ACTIVITIES, CAPTIONS, COLOURS, COUNTS, PRESENCE
from lorgnette.llm.evaluation.question_tasks import ANSWERS, CHOICES, DECISIONS, LABEL_CHOICES, LABELS
from lorgnette.llm.evaluation.scene_tasks import ATTACK, QUALITY, READING
from lorgnette.llm.evaluation.task import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        CAPTIONS,
        PRESENCE,
        COLOURS,
        COUNTS,
        ACTIVITIES,
        ANSWERS,
        DECISIONS,
        CHOICES,
        LABELS,
        LABEL_CHOICES,
        READING,
        QUALITY,
        ATTACK,
    )
}


def choose_tasks(names: Sequence[str]) -> list[Task]:
    """The named tasks, all of them for no names. Raises InputError for a name that is none."""
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise InputError(f"there is no task {unknown[0]!r}", f"choose from {', '.join(TASKS)}")
    return [task for name, task in TASKS.items() if not names or name in names]
