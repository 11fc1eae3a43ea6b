from __future__ import annotations

import pytest

from lorgnette.llm.evaluation.matching import (
    abstains,
    advises,
    answer_group,
    contained,
    exact,
    head_verb,
    stem,
    yes_or_no,
)


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("A red car.", "red car", True),
        ("the Gray cat!", "Grey cat.", True),
        ("Two.", "2", True),
        ("It's red.", "Red.", False),
        ("", "Red.", False),
    ],
)
def test_exact(answer: str, reference: str, same: bool) -> None:
    assert exact(answer, [reference]) is same


@pytest.mark.parametrize(
    ("kind", "answer", "reference", "right"),
    [
        ("colour", "The dog is gray.", "Grey.", True),
        ("colour", "It is brown and white.", "White and brown.", True),
        ("colour", "It is brown.", "Brown and white.", False),
        ("colour", "Brown and white.", "Brown.", True),
        ("colour", "It is red, blue, green or brown.", "Brown.", False),
        ("colour", "It is striped.", "Striped.", True),
        ("count", "There are two dogs.", "2", True),
        ("count", "A pair of dogs.", "Two.", True),
        ("count", "Three or four, maybe two.", "Two.", False),
        ("count", "There are none.", "0", True),
        ("activity", "The man is jogging.", "Running on a road.", True),
        ("activity", "He runs.", "Running on a road.", True),
        ("activity", "He is on a road.", "Running on a road.", False),
        ("yes_no", "Yes, there is.", "Yes.", True),
        ("yes_no", "There is no dog.", "No.", True),
        ("yes_no", "A dog.", "Yes.", False),
        ("what", "A mug of coffee is on the table.", "A cup of coffee.", True),
        ("where", "Under the tables.", "Under the table.", True),
        ("where", "On the table.", "Under the table.", False),
        ("who", "Some women.", "A lady.", True),
        ("what", "I can't tell.", "I don't know.", True),
        ("what", "It is there.", "There.", True),
    ],
)
def test_contained(kind: str, answer: str, reference: str, right: bool) -> None:
    assert contained(answer, [reference], kind) is right


def test_any_of_several_answers_will_do() -> None:
    assert contained("A cat.", ["Dog.", "Cat."], "what")


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        ("Yes.", "yes"),
        ("No, there isn't.", "no"),
        ("There are no dogs.", "no"),
        ("I can't see a dog.", "no"),
        ("There is a dog.", "yes"),
        ("I see a dog.", "yes"),
        ("A dog in November.", ""),
    ],
)
def test_yes_or_no(answer: str, decision: str) -> None:
    assert yes_or_no(answer) == decision


@pytest.mark.parametrize("answer", ["I can't tell.", "I can\u2019t see it.", "I'm not sure.", "It's hard to say.", " "])
def test_abstaining(answer: str) -> None:
    assert abstains(answer) and advises(answer)


@pytest.mark.parametrize("answer", ["A dog in the snow.", "Red.", "The sign says no entry."])
def test_not_abstaining(answer: str) -> None:
    assert not abstains(answer)
    assert not advises(answer)


@pytest.mark.parametrize(
    "answer", ["It's too dark here, turn to the light.", "The picture is blurred.", "Something covers the lens."]
)
def test_advice(answer: str) -> None:
    assert advises(answer)


def test_word_endings() -> None:
    assert stem("running") == stem("runs") == stem("run")
    assert stem("riding") == stem("ride") == stem("rides")
    assert stem("dresses") == stem("dress")
    assert stem("puppies") == stem("puppy")
    assert stem("bus") == "bus" and stem("red") == "red" and stem("king") == "king"


def test_groups_for_balancing() -> None:
    assert answer_group("White and black.", "colour") == answer_group("Black and white.", "colour")
    assert answer_group("Jumping into a pool.", "activity") == head_verb("Jumping.") == "jump"
    assert answer_group("Two.", "count") == "2"
