from __future__ import annotations

import random
from collections import Counter

from lorgnette.llm.evaluation.caption_questions import balanced_presence, clean_caption, objects_in, short_questions

DOG = ("A brown dog runs on the grass .", "A brown dog is chasing a red ball .", "Two dogs play in the grass")
SKI = ("A man is skiing down a snowy hill .", "A skier in a blue jacket in the snow .", "Someone skiing .")


def test_captions_become_sentences() -> None:
    assert clean_caption("a dog , wet , runs .") == "A dog, wet, runs."


def test_objects_need_two_witnesses_for_yes_and_none_for_no() -> None:
    sure, mentioned = objects_in(DOG)
    assert "dog" in sure and "grass" in sure
    assert "ball" in mentioned - sure
    assert "boat" not in mentioned


def test_short_questions_follow_the_captions() -> None:
    found = {(q.kind, q.text): q.answers for q in short_questions(DOG)}
    assert found["colour", "What color is the dog?"] == ("Brown.",)
    assert found["colour", "What color is the ball?"] == ("Red.",)
    assert found["count", "How many dogs are there?"] == ("Two.",)
    assert found["activity", "What is the dog doing?"] == ("Chasing a red ball.",)


def test_presence_is_as_often_yes_as_no_for_every_object() -> None:
    photos = [DOG, SKI] * 10
    asked = balanced_presence(photos, 6, random.Random(0))
    answers: dict[str, Counter[str]] = {}
    for captions, questions in zip(photos, asked, strict=True):
        for question in questions:
            name = "dog" if "dog" in question.text else "snow" if "snow" in question.text else ""
            if name:
                answers.setdefault(name, Counter())[question.answers[0]] += 1
                assert (question.answers[0] == "Yes.") == (name in objects_in(captions)[0])
    assert answers["dog"] == {"Yes.": 6, "No.": 6}
    assert answers["snow"] == {"Yes.": 6, "No.": 6}
