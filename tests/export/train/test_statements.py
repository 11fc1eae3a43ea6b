"""Questions with their answers say things of which others can be asked."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("torch")
from lorgnette.export.train.lessons import QuestionTeacher, Showing
from lorgnette.export.train.statements import Statements, statements
from lorgnette.llm.evaluation.dataset import Photo, QuestionAnswer

pytestmark = pytest.mark.torch


def asked(question: str, answer: str) -> QuestionAnswer:
    return QuestionAnswer(question, (answer,), ("Outside.",), kind="who")


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        ("Who is wearing a red hat?", "The man.", "the man is wearing a red hat"),
        ("Who's holding the map?", "Woman in blue.", "the woman in blue is holding the map"),
        ("Who is standing in this photo?", "A boy.", "a boy is standing"),
        ("Where is the man sitting?", "On a green bench.", "the man sitting on a green bench"),
        ("When is the girl flying the kite?", "In the morning.", "the girl flying the kite"),
    ],
)
def test_a_question_and_its_answer_make_a_statement(question: str, answer: str, said: str) -> None:
    assert statements([asked(question, answer)]) == [said]


@pytest.mark.parametrize(
    "answer", ["No one.", "Nobody is wearing one.", "Not in this picture.", "It can't be seen.", "."]
)
def test_nothing_is_said_of_what_is_not_there(answer: str) -> None:
    assert statements([asked("Who is wearing a red hat?", answer)]) == []


def test_other_questions_say_nothing() -> None:
    assert statements([asked("Who has the ball?", "A man."), asked("Why is he there?", "To eat.")]) == []


def test_statements_are_asked_for() -> None:
    said = Statements([asked("Who is wearing a red hat?", "The man."), asked("Who is riding a horse?", "Two boys.")])
    assert {(q.kind, q.text, q.answers) for q in said.questions} == {
        ("colour", "What color is the hat?", ("Red.",)),
        ("count", "How many boys are there?", ("Two.",)),
    }
    checks = said.colour_checks(random.Random(0))
    assert [(q.text == "Is the hat red?", q.answers) for q in checks] == [(True, ("Yes.",)), (False, ("No.",))]


def test_one_who_is_spoken_of_is_not_counted() -> None:
    pairs = [asked("Who is holding the map?", "A man."), asked("Who is talking?", "A man.")]
    assert {q.kind for q in Statements(pairs).questions} == {"activity"}


def test_the_teacher_asks_what_statements_answer() -> None:
    photo = Photo("a.jpg", qa=(asked("Who is holding the map?", "A man."),))
    lessons = QuestionTeacher([photo])(Showing(0, 0), random.Random(0))
    assert ("activity", "What is the man doing?", ("Holding the map.",)) in {
        (each.kind, each.question, each.answers) for each in lessons
    }
