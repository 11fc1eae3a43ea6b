"""What is asked, how often, and that nothing is lost or asked twice."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorgnette.llm.evaluation.answers import Answer, AnswerFile, Ask, EvaluationError
from lorgnette.llm.evaluation.plan import TaskRun, Visit, plan_tasks, plan_visits
from lorgnette.llm.evaluation.runner import run_visits
from lorgnette.llm.evaluation.selection import select
from lorgnette.llm.evaluation.task import Condition
from lorgnette.llm.evaluation.tasks import TASKS

MakeEngine = Callable[..., Any]
IDENTITY = {"name": "table"}


def plan(data: Path, *tasks: str) -> tuple[list[TaskRun], list[Visit]]:
    chosen = [TASKS[name] for name in tasks] if tasks else list(TASKS.values())
    runs = plan_tasks(chosen, select([data]), list(Condition), 0, can_weigh=True)
    return runs, plan_visits(runs)


def test_every_task_finds_its_questions(data: Path) -> None:
    runs, _ = plan(data)
    asked = {run.task.name: [item.question for item in run.items] for run in runs}
    assert set(asked) == set(TASKS)
    assert len(asked["captions"]) == 2, "a bad frame is not described"
    assert asked["answers"] == ["What is it?"]
    assert asked["yes_no"] == ["Is it red?"]
    assert len(asked["labels"]) == len(asked["label_choices"]) == len(asked["reading"]) == len(asked["quality"]) == 2


def test_everything_about_a_picture_is_asked_in_one_go(data: Path, tmp_path: Path, table_engine: MakeEngine) -> None:
    runs, visits = plan(data)
    engine = table_engine({})
    with AnswerFile(tmp_path / "answers.jsonl", IDENTITY) as answers:
        assert run_visits(engine, visits, answers) == []
        assert len(answers) == len(engine.asked)
        for run in runs:
            for condition in run.conditions:
                assert all(run.ask(item, condition) in answers for item in run.items)
    assert engine.looks == 8
    pictures = [None if p.picture is None else p.picture.pixels.tobytes() for p in engine.asked]
    assert len([1 for a, b in itertools.pairwise(pictures) if a != b]) == 8, "pictures are not mixed"


def test_blind_questions_are_asked_once(data: Path) -> None:
    _, visits = plan(data, "captions", "labels")
    assert visits[-1].selection is None
    assert [ask.question for ask in visits[-1].asks] == ["Describe the picture.", "What is this?"]


def test_shuffled_is_another_picture_and_every_picture_once(data: Path) -> None:
    selection = select([data])[0]
    assert sorted(selection.instead) == sorted(selection.instead.values())
    assert all(image != other for image, other in selection.instead.items())
    assert select([data])[0].instead == selection.instead
    assert select([data], seed=1)[0].instead != selection.instead


def test_an_interrupted_run_goes_on(data: Path, tmp_path: Path, table_engine: MakeEngine) -> None:
    _, visits = plan(data)
    total = sum(len(visit.asks) for visit in visits)
    file = tmp_path / "answers.jsonl"
    with AnswerFile(file, IDENTITY) as answers, pytest.raises(KeyboardInterrupt):
        run_visits(table_engine({}, stop_after=7), visits, answers)
    file.write_bytes(file.read_bytes() + b'{"data": "scenes", "ima')  # killed in the middle of a line
    engine, heard = table_engine({}), 0

    def hear(count: int) -> None:
        nonlocal heard
        heard += count

    with AnswerFile(file, IDENTITY) as answers:
        assert len(answers) == 7
        run_visits(engine, visits, answers, hear)
    assert len(engine.asked) == total - 7
    assert heard == total
    with AnswerFile(file, IDENTITY) as answers:
        assert len(answers) == total
    uninterrupted = tmp_path / "whole.jsonl"
    with AnswerFile(uninterrupted, IDENTITY) as answers:
        run_visits(table_engine({}), visits, answers)
    assert _without_times(file) == _without_times(uninterrupted)


def _without_times(file: Path) -> list[dict[str, object]]:
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return [{key: value for key, value in record.items() if not key.endswith("seconds")} for record in records]


def test_answers_of_another_engine_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    AnswerFile(file, IDENTITY).close()
    with pytest.raises(EvaluationError, match="another engine"):
        AnswerFile(file, {"name": "other"})


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    AnswerFile(file, IDENTITY).close()
    file.write_text(file.read_text() + "{}\n")
    with pytest.raises(EvaluationError, match="line 2 is damaged"):
        AnswerFile(file, IDENTITY)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match="cannot keep answers"):
        AnswerFile(tmp_path / "file" / "answers.jsonl", IDENTITY)


def test_answers_survive_the_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    kept = {
        Ask("d", "a.jpg", "What?"): Answer("Ça va\n“ok”.", -0.25, 3, 0.5, 0.25, 0.125),
        Ask("", "", "Which?", ("A.", "B.")): Answer(seconds=0.5, scores=(-1.5, -2.0)),
    }
    with AnswerFile(file, IDENTITY) as answers:
        for ask, answer in kept.items():
            answers.add(ask, answer)
    with AnswerFile(file, IDENTITY) as answers:
        assert {ask: answers.get(ask) for ask in kept} == kept


def test_a_picture_that_cannot_be_shown_is_left_out(data: Path, tmp_path: Path, table_engine: MakeEngine) -> None:
    (data / "0.png").write_bytes(b"no picture")
    _, visits = plan(data, "captions")
    with AnswerFile(tmp_path / "answers.jsonl", IDENTITY) as answers:
        unreadable = run_visits(table_engine({}), visits, answers)
        assert len(unreadable) == 1 and "0.png" in unreadable[0]
        assert all(ask.image != "0.png" for visit in visits for ask in visit.asks if ask in answers)


def test_a_question_that_the_engine_refuses_has_no_answer(
    write_data: Callable[..., Path], tmp_path: Path, table_engine: MakeEngine
) -> None:
    data = write_data(tmp_path / "set", [{"qa": [{"q": "too long", "a": "x"}]}])
    _, visits = plan(data, "answers")
    with AnswerFile(tmp_path / "answers.jsonl", IDENTITY) as answers:
        run_visits(table_engine({}), visits, answers)
        assert answers.get(visits[0].asks[0]) is not None


def test_choosing_photographs(write_data: Callable[..., Path], tmp_path: Path) -> None:
    splits = ["train"] * 6 + ["dev"] * 3
    data = write_data(tmp_path / "set", [{"split": split} for split in splits])
    assert select([data])[0].split == "dev"
    few = select([data], "train", 4)[0]
    assert [photo.split for photo in few.chosen] == ["train"] * 4
    assert few.images == sorted(few.images)
    assert [s.name for s in select([data, data])] == ["set-1", "set-2"]
