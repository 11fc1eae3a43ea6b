"""What photographs teach: captions, questions, labels, writing, and views on which nothing can be seen."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from tokenizers import pre_tokenizers

torch = pytest.importorskip("torch")

from lorgnette.device.errors import InputError  # noqa: E402
from lorgnette.export.byte_level_tokenizer import byte_level_tokenizer  # noqa: E402
from lorgnette.export.train.lessons import (  # noqa: E402
    AbstentionTeacher,
    CaptionTeacher,
    LabelTeacher,
    QuestionTeacher,
    Showing,
)
from lorgnette.export.train.naming import Namer, NamingTeacher  # noqa: E402
from lorgnette.export.train.reading_lessons import LineWriter, ReadingTeacher, says, scene_text  # noqa: E402
from lorgnette.export.train.recipe import Recipe  # noqa: E402
from lorgnette.llm.evaluation.dataset import Photo, QuestionAnswer  # noqa: E402

pytestmark = pytest.mark.torch

DOG = (
    "A brown dog runs on the grass .",
    "A brown dog is running .",
    "A dog runs .",
    "Something completely different .",
)
SKI = ("A man is skiing down a hill .", "A skier in the snow .", "A man skis .", "A man in a red jacket skis .")
CAPTIONED = [Photo(f"{i}.jpg", DOG if i % 2 else SKI) for i in range(20)]


def test_a_caption_that_others_agree_with_counts_for_more() -> None:
    lesson = CaptionTeacher(CAPTIONED, 4, 1)(Showing(1, 0), random.Random(0))[0]
    weights = dict(zip(lesson.answers, lesson.weights, strict=True))
    assert sum(weights.values()) == pytest.approx(len(weights))
    assert min(weights, key=weights.__getitem__) == "Something completely different."
    assert min(weights.values()) > 0


def test_presence_is_drawn_anew_each_turn_and_the_same_each_time() -> None:
    def asked(turn: int) -> list[str]:
        teacher = CaptionTeacher(CAPTIONED, 4, 1)
        lessons = [teacher(Showing(place, turn), random.Random(place)) for place in range(20)]
        return [f"{each.question} {each.answers}" for one in lessons for each in one if each.kind == "presence"]

    assert asked(0) == asked(0) != asked(1)


def test_questions_have_wrong_answers_and_tell_what_there_is() -> None:
    shelf = QuestionAnswer("Where is the bookshelf?", ("against the wall",), ("Outside.",), "where")
    boat = QuestionAnswer("Where is the boat?", ("On the lake.",), ("In a tree.",), "where")
    teacher = QuestionTeacher([Photo("a.jpg", qa=(shelf,)), Photo("b.jpg", qa=(boat,))])
    lessons = [lesson for seed in range(10) for lesson in teacher(Showing(0, 0), random.Random(seed))]
    where = next(lesson for lesson in lessons if lesson.kind == "where")
    assert (where.answers, where.wrong) == (("Against the wall.",), ("Outside.",))
    presence = {(re.findall("bookshelf|boat", each.question)[0], each.answers[0]) for each in lessons if not each.wrong}
    assert presence == {("bookshelf", "Yes."), ("boat", "No.")}


def test_labels_are_told_from_others() -> None:
    photos = [Photo("a.jpg", label="Royal Gala", coarse="Apple"), Photo("b.jpg", label="Leek", coarse="Leek")]
    what, which, this, other = LabelTeacher(photos)(Showing(0, 0), random.Random(0))
    assert (what.answers, what.wrong) == (("An apple.",), ("A leek.",))
    assert (which.answers, which.wrong) == (("Royal Gala.",), ("Leek.",))
    assert (this.answers, other.answers) == (("Yes.",), ("No.",))
    assert "an apple" in this.question and "a leek" in other.question
    assert len(LabelTeacher(photos)(Showing(1, 0), random.Random(0))) == 3  # no other name for it


def test_nothing_is_told_of_a_view_on_which_nothing_is_seen() -> None:
    teacher = AbstentionTeacher(CaptionTeacher(CAPTIONED, 4, 1), ("it is dark", "it is blurred"))
    lessons = teacher(Showing(1, 0), random.Random(0))
    assert lessons and {lesson.answers for lesson in lessons} == {("I can't tell, it is blurred.",)}


@pytest.fixture(scope="module")
def writer() -> LineWriter:
    words = ["Ġbread", "Ġgarden", "Ġnorth", "Ġtea"]
    tokenizer: Any = byte_level_tokenizer([*sorted(pre_tokenizers.ByteLevel.alphabet()), *words], [], [])
    return LineWriter(tokenizer)


def test_what_is_read_is_what_is_written(writer: LineWriter) -> None:
    teacher = ReadingTeacher(CaptionTeacher(CAPTIONED, 4, 1), writer)
    rng = random.Random(0)
    lessons = [lesson for i in range(300) for lesson in teacher(Showing(i % 20, 0), rng)]
    reading = [lesson for lesson in lessons if lesson.kind == "reading"]
    assert len(reading) == 900
    for lesson in reading:
        (answer,) = lesson.answers
        quoted = re.findall(r'"([^"]*)"', answer)
        assert all(f'"{line}" ' in lesson.scene_text for line in quoted)
        assert bool(quoted) == (lesson.scene_text != scene_text([]))
    others = [lesson for lesson in lessons if lesson.kind != "reading"]
    assert others and all(lesson.scene_text for lesson in others)
    assert not any('"' in answer for lesson in others for answer in lesson.answers)


def test_how_lines_are_put() -> None:
    assert scene_text([("EXIT", "at the top")]) == 'Text in the picture:\n"EXIT" at the top\n'
    assert scene_text([]) == "No text in the picture.\n"
    assert says(["A"]) == 'It says "A".'
    assert says(["A", "B", "C"]) == 'It says "A", "B" and "C".'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("stps = 3", "there is no 'stps' in a recipe"),
        ("steps = 'many'", "steps must be int"),
        ("steps = ", "cannot read the recipe"),
        ("precision = 'int3'", "precision 'int3' is not known"),
        ("[mixture]\nphotos = 0", "mixture needs a whole number"),
    ],
)
def test_recipes_that_cannot_be_followed(tmp_path: Any, text: str, reason: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=reason):
        Recipe.read(path)


def test_a_recipe_keeps_what_it_does_not_name(tmp_path: Any) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("steps = 7\n[mixture]\nphotos = 2\n")
    assert Recipe.read(path) == Recipe(steps=7, mixture={"photos": 2})


@pytest.fixture
def namer() -> Namer:
    """Class i is named where channel i is high."""
    head = {"_fc.weight": 9 * np.eye(1000, dtype=np.float32), "_fc.bias": np.zeros(1000, np.float32)}
    return Namer(head)


def test_the_classes_are_imagenets(namer: Namer) -> None:
    assert len(namer.names) == len(set(namer.names)) == 640
    assert {"dog", "cat", "cow", "mug", "banana", "mobile phone"} <= set(namer.names)
    assert {"dog", "cat", "cow"} <= namer.animals and not {"mug", "banana"} & namer.animals


def test_what_people_would_say_and_the_breed_where_it_is_sure(namer: Namer) -> None:
    grid = np.zeros((10, 10, 1000), np.float32)
    grid[:, :, 151:201] = 6.0  # one of fifty breeds of dogs, and nobody knows which
    look = namer.look(grid.reshape(100, -1))
    assert {(one.name, one.breed) for one in look.sure} == {("dog", "")}
    grid[:, :, 283] = 9.0  # a Persian cat
    look = namer.look(grid.reshape(100, -1))
    assert {(one.name, one.breed) for one in look.sure} == {("cat", "Persian cat")}
    lessons = NamingTeacher(lambda shown, rng: [], namer, [look])(Showing(0, 0), random.Random(0))
    told = [(lesson.question, lesson.answers[0]) for lesson in lessons if lesson.kind == "label"]
    assert [answer for _, answer in told] == ["A cat.", "A cat.", "A Persian cat."]
    assert "animal" in told[1][0] and told[2][0] == "What kind of cat is this?"


def test_things_are_named_where_they_are(namer: Namer) -> None:
    grid = np.zeros((10, 10, 1000), np.float32)
    grid[:, :5, 504] = 3.0  # a coffee mug, on the left
    grid[2:8, 2:8, 954] = 6.0  # a banana, in the middle
    look = namer.look(grid.reshape(100, -1))
    assert {(one.region, one.name) for one in look.sure} >= {("", "banana"), ("on the left", "mug")}
    assert namer.names.index("fish") in look.unlikely and namer.names.index("mug") not in look.unlikely
    teacher = NamingTeacher(lambda shown, rng: [], namer, [look])
    lessons = teacher(Showing(0, 0), random.Random(0))
    told = {lesson.answers[0]: lesson for lesson in lessons if lesson.kind == "label"}
    assert told.pop("A coffee mug.").question == "What kind of mug is this?"
    assert told.keys() == {"A banana.", "A mug."}
    assert all(len(lesson.wrong) == 3 and not told.keys() & set(lesson.wrong) for lesson in told.values())
    asked = {(lesson.question, lesson.answers[0]) for lesson in lessons if lesson.kind == "presence"}
    assert sum("banana" in question or "mug" in question for question, _ in asked) == 2
    assert Counter(answer for _, answer in asked) == {"Yes.": 2, "No.": 2}
