"""Two views of a picture: the mirror image counts as much as the picture, and keeps out of what has sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lorgnette.device.frame import Frame
from lorgnette.device.session import OnnxSession
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.decoder import Decoder
from lorgnette.llm.engine import Engine, Exchange, Prompt, Token
from lorgnette.llm.kv_cache import KvCache
from lorgnette.llm.mirror import tells_sides
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine

Ask = Callable[[Engine, Prompt], list[Token]]
Rows = npt.NDArray[np.float32]


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("What colour is the dog?", False),
        ("How many people are there?", False),
        ("Is there a bench?", False),
        ("Describe the picture.", False),
        ("What is on the LEFT?", True),
        ("Which side is the door on?", True),
        ("Where's the dog?", True),
        ("Which way does the arrow point?", True),
        ("What time is it on that clock?", True),
        ("What does the sign say?", True),
    ],
)
def test_what_has_sides_is_told_by_the_question(question: str, told: bool) -> None:
    assert tells_sides(Prompt(question)) == told


def test_what_was_said_before_and_quoted_writing_have_sides_too() -> None:
    assert tells_sides(Prompt("And that?", history=(Exchange("What is there?", "A dog on the right."),)))
    assert not tells_sides(Prompt("And that?", history=(Exchange("What is there?", "A dog."),)))
    assert tells_sides(Prompt("What is this?", text=()))


def test_a_mirror_image_has_left_and_right_swapped() -> None:
    frame = Frame(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), timestamp_ns=7)
    seen = frame.mirrored()
    assert seen.timestamp_ns == 7 and np.array_equal(seen.pixels[:, 0], frame.pixels[:, 3])
    assert np.array_equal(seen.mirrored().pixels, frame.pixels)


def test_a_picture_and_its_mirror_image_are_answered_alike_but_for_sides(
    bundle: ModelBundle, pictures: list[Frame], ask: Ask
) -> None:
    engine = OnnxEngine(bundle, EngineSettings(max_new_tokens=24))
    alone = OnnxEngine(bundle, EngineSettings(max_new_tokens=24, mirror=False))
    picture, mirrored = pictures[0], pictures[0].mirrored()
    for question, alike in (("What do you see?", True), ("What is on the left?", False)):
        here, there = (ask(engine, Prompt(question, frame)) for frame in (picture, mirrored))
        assert ([token.log_probability for token in here] == pytest.approx([t.log_probability for t in there])) == alike
        assert (here == ask(alone, Prompt(question, picture))) != alike


def test_scores_are_those_of_both_views(bundle: ModelBundle, pictures: list[Frame]) -> None:
    engine = OnnxEngine(bundle, EngineSettings())
    question, answers = "What do you see?", ["Yes.", "No."]
    here, there = (
        engine.log_probabilities(Prompt(question, frame), answers) for frame in (pictures[0], pictures[0].mirrored())
    )
    assert here == pytest.approx(there, abs=1e-4)


def test_a_bundle_that_does_not_ask_for_it_sees_one_view(bundle: ModelBundle, pictures: list[Frame], ask: Ask) -> None:
    assert bundle.preprocessing is not None
    plain = replace(bundle, preprocessing=replace(bundle.preprocessing, mirrored=False))
    prompt = Prompt("What do you see?", pictures[0])
    settings = EngineSettings(max_new_tokens=24)
    assert ask(OnnxEngine(plain, settings), prompt) == ask(OnnxEngine(bundle, replace(settings, mirror=False)), prompt)


@pytest.mark.parametrize("in_place", [True, False])
def test_views_are_stepped_together_as_each_would_be_alone(bundle: ModelBundle, in_place: bool) -> None:
    decoder = Decoder(OnnxSession(bundle.path("decoder_model_merged")), bundle.decoder)
    decoder.in_place = in_place
    random = np.random.default_rng(0)
    beginnings = random.standard_normal((2, 30, bundle.decoder.hidden)).astype(np.float32)
    text = random.standard_normal((12, bundle.decoder.hidden)).astype(np.float32)
    both = decoder.new_cache(8, views=2)
    alone = [decoder.new_cache(8) for _ in beginnings]

    def step(rows: list[Rows], shared: Rows) -> None:
        logits = [decoder.append(mine, cache) for mine, cache in zip(rows, alone, strict=True)]
        assert np.abs(decoder.append(shared, both) - np.mean(logits, axis=0)).max() <= 1e-4

    step(list(beginnings), beginnings)
    for first, last in ((0, 8), (8, 9), (9, 10), (10, 12)):
        step([text[first:last]] * 2, text[first:last])


def test_a_cache_of_one_view_takes_the_first_of_another(bundle: ModelBundle) -> None:
    both, one = (KvCache(bundle.decoder, np.dtype(np.float32), 8, views) for views in (2, 1))
    for index, buffer in enumerate(both.buffers):
        buffer[0], buffer[1] = index, -1
    both.length = 5
    one.copy_from(both)
    assert one.length == 5
    assert all((buffer[:, :, :5] == index).all() for index, buffer in enumerate(one.buffers))
