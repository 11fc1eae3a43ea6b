"""What is asked, in the order that is cheapest: everything about one picture together, since it is looked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorgnette.llm.evaluation.answers import Ask
from lorgnette.llm.evaluation.selection import Selection
from lorgnette.llm.evaluation.task import Condition, Item, Task


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A task on a data set: its questions, and the conditions in which they are asked. `skipped` says why not."""

    task: Task
    selection: Selection
    items: Sequence[Item]
    conditions: Sequence[Condition]
    skipped: str = ""

    def ask(self, item: Item, condition: Condition) -> Ask:
        if condition is Condition.BLIND:
            return Ask("", "", item.question, item.choices)
        image = item.photo.image if condition is Condition.PICTURE else self.selection.instead[item.photo.image]
        return Ask(self.selection.name, image, item.question, item.choices)


@dataclass(frozen=True, slots=True)
class Visit:
    """All that is asked about one picture of a data set (`selection` None: about no picture)."""

    selection: Selection | None
    image: str
    asks: Sequence[Ask]


def plan_tasks(
    tasks: Sequence[Task],
    selections: Sequence[Selection],
    conditions: Sequence[Condition],
    seed: int,
    can_weigh: bool,
) -> list[TaskRun]:
    """Every task on every data set that has something for it. `can_weigh`: the engine can tell likelihoods."""
    runs = []
    for selection in selections:
        for task in tasks:
            items = task.items(selection.chosen, seed)
            if not items:
                continue
            if task.by_likelihood and not can_weigh:
                runs.append(
                    TaskRun(task, selection, items, (), "this engine does not tell the likelihood of an answer")
                )
                continue
            asked = [c for c in task.conditions if c in conditions]
            if not selection.instead:
                asked = [c for c in asked if c is not Condition.SHUFFLED]
            runs.append(TaskRun(task, selection, items, asked))
    return runs


def plan_visits(runs: Sequence[TaskRun]) -> list[Visit]:
    """The asks of all runs, each once, by picture; those without a picture come last."""
    asks: dict[tuple[str, str], dict[Ask, None]] = {}
    for run in runs:
        for condition in run.conditions:
            for item in run.items:
                ask = run.ask(item, condition)
                asks.setdefault((ask.data, ask.image), {})[ask] = None
    visits = []
    for selection in {run.selection.name: run.selection for run in runs}.values():
        for image in selection.images:
            if (selection.name, image) in asks:
                visits.append(Visit(selection, image, list(asks[selection.name, image])))
    if ("", "") in asks:
        visits.append(Visit(None, "", list(asks["", ""])))
    return visits
