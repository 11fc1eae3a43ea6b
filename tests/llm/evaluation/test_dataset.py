"""What a data set may look like, and what is said about one that is broken."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lorgnette.device.errors import InputError
from lorgnette.llm.evaluation.dataset import Photo, PhotoSet, QuestionAnswer
from lorgnette.llm.evaluation.record import kind_of

Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Write:
    """Writes a data set with one record for each argument; a text is written as it is."""

    def write(*records: object) -> Path:
        (tmp_path / "images").mkdir(exist_ok=True)
        for name, value in (("a", 40), ("b", 200)):
            cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), np.full((6, 8, 3), value, np.uint8))
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        (tmp_path / "index.jsonl").write_text("\n".join(lines))
        return tmp_path

    return write


def test_every_key(folder: Write) -> None:
    record = {
        "image": "images/a.jpg",
        "split": "test",
        "captions": ["A grey wall."],
        "qa": [{"q": "What is it?", "a": ["A wall.", "Wall."], "distractors": ["A dog."], "kind": "what"}],
        "label": "Wall",
        "coarse": "Building",
        "text": ["EXIT", " No  smoking "],
        "quality": "dark",
        "attack": {"canary": "BANANA"},
        "camera": "unknown keys are left alone",
    }
    photo = PhotoSet(folder(record, "", {"image": "./images/b.jpg", "text": []})).photos
    asked = QuestionAnswer("What is it?", ("A wall.", "Wall."), ("A dog.",), "what")
    assert photo[0] == Photo(
        "images/a.jpg",
        ("A grey wall.",),
        "test",
        (asked,),
        "Wall",
        "Building",
        ("EXIT", "No smoking"),
        "dark",
        "BANANA",
    )
    assert photo[1] == Photo("images/b.jpg", text=())


def test_names_that_other_collections_use(folder: Write) -> None:
    path = folder(
        {"file_name": "images/a.jpg", "caption": "A wall.", "question": "How many?", "answer": 2},
        {
            "image": "images/b.jpg",
            "questions": [
                {"question": "What colour is it?", "choices": ["red", "blue", "grey"], "answer": 2, "type": "Color"},
                {"question": "Is it day?", "answers": ["yes"], "options": ["Yes", "No"]},
                {"question": "Whose is it?", "options": ["Mine.", "Yours."], "answer": "B"},
            ],
        },
    )
    first, second = PhotoSet(path).photos
    assert first.captions == ("A wall.",)
    assert first.qa == (QuestionAnswer("How many?", ("2",), (), "count"),)
    assert second.qa == (
        QuestionAnswer("What colour is it?", ("grey",), ("red", "blue"), "colour"),
        QuestionAnswer("Is it day?", ("yes",), ("No",), "yes_no"),
        QuestionAnswer("Whose is it?", ("Yours.",), ("Mine.",), "who"),
    )


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("Is there a dog?", "Yes.", "yes_no"),
        ("Is it a dog or a cat?", "A cat", "other"),
        ("What color is the hat?", "Red.", "colour"),
        ("How many men are there?", "Two.", "count"),
        ("What is the man doing?", "Running.", "activity"),
        ("What are people in the back doing?", "Running.", "activity"),
        ("What does the sign say?", "EXIT", "reading"),
        ("When was it taken?", "At night.", "when"),
        ("Where is it?", "Outside.", "where"),
        ("Who is it?", "A man.", "who"),
        ("Who is there?", "No one.", "who"),
        ("What is on the table?", "A cup.", "what"),
        ("Name the animal.", "Dog.", "other"),
    ],
)
def test_a_missing_kind_is_read_off_the_question(question: str, answer: str, kind: str) -> None:
    assert kind_of(question, (answer,)) == kind


def test_a_tar_is_like_its_folder(folder: Write, tmp_path: Path) -> None:
    path = folder({"image": "images/a.jpg", "label": "Wall"})
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as tar:
        tar.add(path / "images", "./images")
        tar.add(path / "index.jsonl", "./index.jsonl")
    photos = PhotoSet(tmp_path / "set.tar.gz")
    assert photos.name == "set"
    assert photos.photos == PhotoSet(path).photos
    pixels = photos.pixels(photos.photos[0])
    assert pixels.shape == (6, 8, 3)
    np.testing.assert_array_equal(pixels, PhotoSet(path).pixels(photos.photos[0]))


def test_folders_named_after_labels_need_no_index(tmp_path: Path) -> None:
    for name in ("test/coffee_cup/1.jpg", "train/key ring/2.png", "spoon/3.JPG"):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
    (tmp_path / "readme.txt").write_text("hello")
    photos = {photo.image: photo for photo in PhotoSet(tmp_path).photos}
    assert photos == {
        "test/coffee_cup/1.jpg": Photo("test/coffee_cup/1.jpg", label="coffee cup", split="test"),
        "train/key ring/2.png": Photo("train/key ring/2.png", label="key ring", split="train"),
        "spoon/3.JPG": Photo("spoon/3.JPG", label="spoon"),
    }


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ("{oops", "line 2 is not JSON"),
        ([], "line 2: the line must be an object"),
        ({"split": "test"}, "line 2: image must be"),
        ({"image": "../a.jpg"}, "line 2: image must be a path inside the data set"),
        ({"image": "images/c.jpg"}, "line 2: there is no file images/c.jpg"),
        ({"image": "images/b.jpg", "captions": [["nested"]]}, "line 2: captions must be a text"),
        ({"image": "images/b.jpg", "qa": {"q": "?"}}, "line 2: qa must be a list"),
        ({"image": "images/b.jpg", "qa": [{"q": "What?"}]}, "line 2: qa[0].a must be an answer"),
        ({"image": "images/b.jpg", "qa": [{"a": "What?"}]}, "line 2: qa[0].q must be a question"),
        (
            {"image": "images/b.jpg", "qa": [{"q": "What?", "choices": ["x"], "a": 4}]},
            "line 2: qa[0].a must be the number of a choice",
        ),
        ({"image": "images/b.jpg", "label": 3}, "line 2: label must be a text"),
        ({"image": "images/b.jpg", "text": 3}, "line 2: text must be a list of lines"),
        ({"image": "images/b.jpg", "quality": "poor"}, "line 2: quality must be one of good, dark"),
        ({"image": "images/b.jpg", "attack": "BANANA"}, "line 2: attack must be"),
    ],
)
def test_a_broken_record_is_named_by_file_and_line(folder: Write, record: object, complaint: str) -> None:
    path = folder({"image": "images/a.jpg"}, record)
    with pytest.raises(InputError) as caught:
        PhotoSet(path)
    assert f"{path}: index.jsonl {complaint}" in caught.value.message
    assert caught.value.hint


def test_what_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "notes.tar").write_text("hello")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "notes.tar"):
        with pytest.raises(InputError, match=str(path)):
            PhotoSet(path)


def test_a_broken_picture_is_named(folder: Write) -> None:
    photos = PhotoSet(folder({"image": "images/a.jpg"}))
    (photos.path / "images" / "a.jpg").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"images/a\.jpg"):
        photos.pixels(photos.photos[0])
