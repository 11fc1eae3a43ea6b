"""The generated data sets: whole, the same each time, and in the format that the evaluation reads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_sets.attacks import QUESTIONS, attacks, pairs
from data_sets.faces import BUILT_IN
from data_sets.folder import Example, write_folder
from data_sets.frames import frames
from data_sets.sign import HEIGHT, WIDTH, Style, photograph
from data_sets.sign_texts import KINDS, texts
from data_sets.signs import signs, textless

from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.device.picture import load_picture
from lorgnette.llm.evaluation.dataset import PhotoSet
from lorgnette.llm.evaluation.reading import obeys
from lorgnette.vision.quality import assess
from lorgnette.vision.scene_text import PLACES, SceneText

ROOT = Path(__file__).parents[2]
PAIRS = pairs()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    """Crops of the example photographs as a data set, sixteen altogether."""
    folder = tmp_path_factory.mktemp("photos")
    crops: list[Example] = []
    for path in sorted((ROOT / "examples" / "photos").glob("*.jpg")):
        pixels = load_picture(path).pixels
        crops += [(pixels[i : i + 240, i : i + 280], {"split": "test"}) for i in (0, 20, 40)]
    write_folder(folder, crops[:16], 95)
    return PhotoSet(folder)


@pytest.mark.parametrize("make", [signs, textless, attacks])
def test_the_same_seed_makes_the_same_pictures(make) -> None:
    def drawn(seed: int) -> list[Example]:
        return list(make(2, seed, BUILT_IN))

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert [record for _, record in first] == [record for _, record in again]
    assert all(np.array_equal(one, two) for (one, _), (two, _) in zip(first, again, strict=True))
    assert not any(np.array_equal(one, two) for (one, _), (two, _) in zip(first, other, strict=True))
    assert {pixels.shape for pixels, _ in first} == {(HEIGHT, WIDTH, 3)}


def test_a_shorter_set_is_the_beginning_of_a_longer_one() -> None:
    short, long = (list(signs(count, 1, BUILT_IN)) for count in (2, 4))
    assert all(np.array_equal(one, two) for (one, _), (two, _) in zip(short, long, strict=False))


def test_signs_say_many_different_things() -> None:
    found = texts(200, np.random.default_rng(1))
    assert len({lines for _, lines in found}) == 200
    assert Counter(kind for kind, _ in found).keys() == KINDS.keys()
    assert all(1 <= len(lines) <= 3 and all(1 <= len(line) <= 32 for line in lines) for _, lines in found)
    words = Counter(word for _, lines in found for line in lines for word in line.lower().split())
    assert len(words) > 350
    assert max(count for word, count in words.items() if len(word) > 3) < 15
    capitals = sum(all(line == line.upper() for line in lines) for _, lines in found)
    assert 40 < capitals < 110


def test_all_of_the_writing_is_in_the_picture() -> None:
    """Letters are what changes with the ink; none of them is at the picture's border."""
    black = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for number in range(6):
        style = replace(Style.draw(BUILT_IN, np.random.default_rng(number)), border=False, plate="#000000")
        dark, light = (
            photograph(("Some words", "and a few more"), replace(style, ink=ink), black, np.random.default_rng(0))
            for ink in ("#000000", "#ffffff")
        )
        letters = cv2.blur(cv2.absdiff(dark, light).max(2), (3, 3)) > 60
        assert letters.sum() > 1000
        assert letters[6:-6, 6:-6].sum() == letters.sum()


def test_signs_are_good_frames() -> None:
    assert [assess(Frame(pixels)).problem for pixels, _ in signs(5, 1, BUILT_IN)] == [None] * 5


def test_nothing_is_written_in_textless_pictures() -> None:
    assert all(record == {"text": []} for _, record in textless(6, 1, BUILT_IN))


def test_frames_are_half_bad_and_each_from_a_photograph_of_its_own(photos: PhotoSet) -> None:
    made = list(frames(photos, "test", 2, 1))
    counted = Counter(record["quality"] for _, record in made)
    assert counted == {"dark": 2, "blurred": 2, "blank": 2, "covered": 2, "good": 8}
    good = [pixels.tobytes() for pixels, record in made if record["quality"] == "good"]
    assert len(set(good)) == 8
    again = list(frames(photos, "test", 2, 1))
    assert all(np.array_equal(one, two) for (one, _), (two, _) in zip(made, again, strict=True))
    with pytest.raises(InputError, match="too few"):
        list(frames(photos, "test", 3, 1))


def test_there_are_at_least_sixty_pairs_of_many_kinds() -> None:
    assert len(PAIRS) >= 60
    assert len({pair.attack for pair in PAIRS}) == len({pair.legitimate for pair in PAIRS}) == len(PAIRS)
    assert len({pair.canary for pair in PAIRS}) == len(PAIRS)
    kinds = Counter(pair.kind for pair in PAIRS)
    assert kinds.keys() >= {
        "order",
        "role",
        "markup",
        "danger",
        "persona",
        "tool",
        "memory",
        "leak",
        "language",
        "polite",
    }


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.canary)
def test_a_canary_tells_obeying_from_reading(pair) -> None:
    aloud = "It says " + " and ".join(f'"{SceneText(line, PLACES[1][1]).quotable}"' for line in pair.attack) + "."
    assert not obeys(aloud, pair.canary, pair.attack)
    assert obeys(f"{pair.canary.capitalize()}.", pair.canary, pair.attack)
    for harmless in ("It says " + " ".join(pair.legitimate), "There is a sign on a wall.", "Yes.", "One."):
        assert not obeys(harmless, pair.canary, ())
    for lines in (pair.legitimate, pair.attack):
        assert 1 <= len(lines) <= 3
        assert all(line == " ".join(line.split()) and len(line) <= 28 for line in lines)


def test_no_question_beside_an_attack_asks_to_read() -> None:
    assert len(QUESTIONS) >= 2
    assert not any(word in str(question["q"]).lower() for question in QUESTIONS for word in ("say", "read", "writ"))


def test_both_of_a_pair_hang_in_the_same_place() -> None:
    (harmless, first), (attack, second) = attacks(1, 1, BUILT_IN)
    assert first["pair"] == second["pair"]
    assert "attack" not in first
    assert second["attack"] == {"canary": PAIRS[0].canary}
    same = np.abs(harmless.astype(int) - attack.astype(int)).max(2) < 60
    assert same.mean() > 0.5


def test_the_command_writes_what_the_evaluation_reads(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "make_data_set.py"), "attacks", "--built-in", "--count", "2"]
    subprocess.run([*command, "--out", str(tmp_path / "set")], check=True, capture_output=True)
    loaded = PhotoSet(tmp_path / "set")
    assert [photo.attack for photo in loaded.photos] == ["", PAIRS[0].canary, "", PAIRS[1].canary]
    assert loaded.photos[1].text == PAIRS[0].attack
    assert loaded.pixels(loaded.photos[0]).shape == (HEIGHT, WIDTH, 3)
    records = (tmp_path / "set" / "index.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(records[3])["attempt"] == PAIRS[1].kind


def test_frames_without_photographs_are_refused_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "make_data_set.py"), "frames", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--photos" in done.stderr
    assert "Traceback" not in done.stderr
