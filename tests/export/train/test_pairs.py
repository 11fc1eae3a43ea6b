"""Two photographs as one picture: what is asked of its halves, and what of both."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lorgnette.export.train.lessons import Lesson, Showing  # noqa: E402
from lorgnette.export.train.pairs import Pair, PairedPictures, PairTeacher, draw_pairs  # noqa: E402
from lorgnette.llm.evaluation.dataset import Photo  # noqa: E402

pytestmark = pytest.mark.torch

DOGS = Photo("dogs.jpg", ("Two brown dogs run on the grass .", "Two dogs are running .", "The dogs run left ."))
DOG = Photo("dog.jpg", ("A white dog is sleeping .", "A dog sleeps on a bench .", "A white dog on a bench ."))
SKIER = Photo(
    "skier.jpg", ("A man in a red jacket is skiing down a hill .", "A man skis in the snow .", "A man on snow .")
)
PHOTOS = [DOGS, DOG, SKIER]


def lessons(first: int, second: int, *, stacked: bool = False) -> dict[str, list[Lesson]]:
    """By question, what many showings of a pair teach."""
    teacher = PairTeacher(PHOTOS, [Pair(first, second, stacked)])
    found: dict[str, list[Lesson]] = {}
    for turn in range(60):
        for lesson in teacher(Showing(0, turn), random.Random(turn)):
            found.setdefault(lesson.question, []).append(lesson)
    return found


def answers(found: dict[str, list[Lesson]], question: str) -> set[str]:
    return {answer for lesson in found[question] for answer in lesson.answers}


def test_numbers_add_up() -> None:
    found = lessons(0, 1)
    assert answers(found, "How many dogs are there?") == {"Three."}
    assert answers(found, "How many dogs are there on the left?") == {"Two."}
    assert answers(found, "How many dogs are there on the right?") == {"One."}


def test_what_nobody_sees_in_the_other_half_adds_nothing() -> None:
    found = lessons(2, 0, stacked=True)
    assert answers(found, "How many dogs are there?") == {"Two."}
    assert answers(found, "How many men are there?") == {"One."}


def test_what_somebody_may_see_uncounted_is_not_added() -> None:
    riders = Photo("riders.jpg", ("People ride .", "Riders .", "Somebody rides a horse ."))
    teacher = PairTeacher([SKIER, riders], [Pair(0, 1, False)])
    asked = {lesson.question for turn in range(30) for lesson in teacher(Showing(0, turn), random.Random(turn))}
    assert "How many men are there on the left?" in asked and "How many men are there?" not in asked


def test_a_half_is_asked_about_by_its_side() -> None:
    found = lessons(1, 2)
    assert answers(found, "What color is the dog on the left?") == {"White."}
    assert answers(found, "What color is the jacket on the right?") == {"Red."}
    assert answers(found, "What is the man on the right doing?") == {"Skiing down a hill."}
    described = {lesson.answers[0] for each in found.values() for lesson in each if lesson.kind == "half"}
    assert {"A man skis in the snow.", "A dog sleeps on a bench."} <= described
    assert not any("on the left" in question for question in lessons(1, 2, stacked=True))


def test_captions_that_name_a_place_are_not_told() -> None:
    told = {lesson.answers[0] for each in lessons(0, 1).values() for lesson in each if lesson.kind == "half"}
    assert told and not any("left" in answer for answer in told)


def test_what_is_only_on_the_other_side_is_not_here() -> None:
    found = lessons(1, 2)
    sides = {
        (words, side): answer
        for question, each in found.items()
        for lesson in each
        if lesson.kind == "presence"
        for answer in lesson.answers
        for words in ("dog", "snow")
        for side in ("left", "right")
        if f" {words} on the {side}" in question
    }
    assert sides == {
        ("dog", "left"): "Yes.",
        ("dog", "right"): "No.",
        ("snow", "left"): "No.",
        ("snow", "right"): "Yes.",
    }
    either = {lesson.answers[0] for q in found for lesson in found[q] if lesson.kind == "presence" and "dog?" in q}
    assert either == {"Yes."}


@pytest.mark.parametrize("stacked", [False, True])
def test_pictures_are_halves(stacked: bool) -> None:
    white, black = np.full((8, 6, 3), 255, np.uint8), np.zeros((8, 6, 3), np.uint8)
    shown = PairedPictures([white, black], [Pair(0, 1, stacked)])
    (picture,) = (shown[place] for place in range(len(shown)))
    assert picture.shape == (8, 6, 3) and picture.dtype == np.uint8
    halves = (picture[:4], picture[4:]) if stacked else (picture[:, :3], picture[:, 3:])
    assert halves[0].min() == 255 and halves[1].max() == 0


def test_half_of_the_pairs_count_the_same_thing() -> None:
    photos = [DOGS, DOG, *[SKIER] * 48]
    drawn = draw_pairs(photos, 200, 1)
    assert drawn == draw_pairs(photos, 200, 1) != draw_pairs(photos, 200, 2)
    kinds = Counter("dogs" if {pair.first, pair.second} == {0, 1} else "other" for pair in drawn)
    assert kinds["dogs"] > 8  # by chance it would be none
    assert all(pair.first != pair.second for pair in drawn)
