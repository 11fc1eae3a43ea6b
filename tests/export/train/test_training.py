"""The training's parts against plain counterparts: packing, int8 products, resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorgnette.export.byte_level_tokenizer import byte_level_tokenizer

torch = pytest.importorskip("torch")

from lorgnette.export.adapter import read_adapter, with_trained_encoder  # noqa: E402
from lorgnette.export.assembly import Assembly  # noqa: E402
from lorgnette.export.encoder_graph import channels  # noqa: E402
from lorgnette.export.train.alignment import align  # noqa: E402
from lorgnette.export.train.connector import TOKENS, Connector  # noqa: E402
from lorgnette.export.train.courses import Course  # noqa: E402
from lorgnette.export.train.encoder import Encoder  # noqa: E402
from lorgnette.export.train.frozen_linear import FrozenLinear  # noqa: E402
from lorgnette.export.train.language_model import LanguageModel  # noqa: E402
from lorgnette.export.train.lessons import CaptionTeacher, Lesson, QuestionTeacher  # noqa: E402
from lorgnette.export.train.objective import SampledHead, losses  # noqa: E402
from lorgnette.export.train.packing import Packer  # noqa: E402
from lorgnette.export.train.recipe import Recipe  # noqa: E402
from lorgnette.export.train.trainer import Trainer  # noqa: E402
from lorgnette.llm.evaluation.dataset import Photo, QuestionAnswer  # noqa: E402

pytestmark = pytest.mark.torch

LESSONS = [
    Lesson("description", "What?", ("A dog runs.", "A dog."), (1.5, 0.5)),
    Lesson("presence", "Is there a dog?", ("Yes.",)),
    Lesson("where", "Where?", ("Here.",), wrong=("There.", "Nowhere."), scene_text='Text:\n"<|im_end|>" here\n'),
]
CAPTIONS = ("A brown dog is running .", "A dog on the grass .", "Two dogs run on grass .")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    from tokenizers import pre_tokenizers

    return byte_level_tokenizer([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())], [], special)


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray[Any, Any]]:
    """Two layers with the real head size, everything else small."""
    rng = np.random.default_rng(0)
    shapes = {"model.embed_tokens.weight": (300, 192), "model.norm.weight": (192,)}
    for layer in range(2):
        name = f"model.layers.{layer}"
        shapes |= {f"{name}.{norm}_layernorm.weight": (192,) for norm in ("input", "post_attention")}
        shapes |= {f"{name}.self_attn.{part}_proj.weight": (192, 192) for part in "qo"}
        shapes |= {f"{name}.self_attn.{part}_proj.weight": (64, 192) for part in "kv"}
        shapes |= {f"{name}.mlp.{part}_proj.weight": (256, 192) for part in ("gate", "up")}
        shapes[f"{name}.mlp.down_proj.weight"] = (192, 256)
    return {
        name: (np.ones(shape) if "norm" in name else rng.standard_normal(shape) / 14).astype(np.float32)
        for name, shape in shapes.items()
    }


def test_a_packed_answer_is_computed_as_if_it_stood_alone(tokenizer: Any, weights: dict[str, Any]) -> None:
    model = LanguageModel(weights)
    packer = Packer(tokenizer, 4, 300)
    packed = packer.pack(LESSONS)

    def hidden(ids: Any, positions: Any, sees: Any) -> Any:
        bias = torch.zeros(sees.shape).masked_fill_(~torch.from_numpy(sees), float("-inf"))
        with torch.no_grad():
            return model(model.embedding[torch.from_numpy(ids)][None], torch.from_numpy(positions)[None], bias[None])[0]

    together = hidden(packed.ids, packed.positions, packed.sees)[packed.at]
    row = 0
    for lesson in LESSONS:
        for answer in (*lesson.answers, *lesson.wrong):
            told = packer.answer_ids(answer)
            prefix = list(packed.ids[: packer.image_start + 4])
            alone = np.array([*prefix, *packer.question_ids(lesson.question, lesson.scene_text), *told[:-1]])
            states = hidden(alone, np.arange(len(alone)), np.tri(len(alone), dtype=bool))[-len(told) :]
            torch.testing.assert_close(together[row : row + len(told)], states, rtol=1e-4, atol=1e-4)
            assert packed.targets[row : row + len(told)].tolist() == told
            row += len(told)
    assert row == len(packed.at)
    assert packed.choices == ((3, 4, 5),)
    assert packed.weights[packed.answer >= 4].max() == 0.0


def test_what_a_sign_says_is_no_special_token(tokenizer: Any) -> None:
    stop = tokenizer.token_to_id("<|im_end|>")
    packer = Packer(tokenizer, 4, 300)
    asked = packer.question_ids("Read <|im_end|> it.", LESSONS[2].scene_text)
    assert asked.count(stop) == 1  # the template's own
    assert packer.answer_ids("It says <|im_end|>").count(stop) == 1


def test_what_does_not_fit_is_left_out_whole(tokenizer: Any) -> None:
    packed = Packer(tokenizer, 4, 70).pack(LESSONS)
    full = Packer(tokenizer, 4, 300).pack(LESSONS)
    assert 0 < len(packed.at) < len(full.at)
    np.testing.assert_array_equal(packed.targets, full.targets[: len(packed.targets)])
    assert packed.choices == ()


def test_losses_against_a_calculation_by_hand(tokenizer: Any) -> None:
    packed = [Packer(tokenizer, 4, 300).pack(LESSONS)] * 2
    values = torch.linspace(-2.0, -0.1, 2 * len(packed[0].at), dtype=torch.float64).float()
    found = losses(values, packed)
    weights = np.concatenate([one.weights for one in packed])
    told = -(values.numpy() * weights).sum() / (weights != 0).sum()
    chosen, right = [], []
    for number, one in enumerate(packed):
        part = values.numpy()[number * len(one.at) : (number + 1) * len(one.at)]
        sums = np.array([part[one.answer == i].sum() for i in one.choices[0]])
        chosen.append(np.log(np.exp(sums).sum()) - sums[0])
        right.append(sums.argmax() == 0)
    assert float(found.told) == pytest.approx(told, rel=1e-5)
    assert float(found.chosen) == pytest.approx(np.mean(chosen), rel=1e-5)
    assert found.right == np.mean(right)


def test_a_head_that_samples_nothing_is_the_whole_head() -> None:
    torch.manual_seed(0)
    table, states = torch.randn(50, 8), torch.randn(6, 8)
    targets = np.array([3, 49, 0, 7, 7, 20])
    exact = (states @ table.t()).log_softmax(-1)[torch.arange(6), torch.from_numpy(targets)]
    rng = np.random.default_rng(0)
    whole = SampledHead(table, np.arange(10), 10_000).log_probabilities(states, targets, rng)
    torch.testing.assert_close(whole, exact)
    partly = SampledHead(table, np.arange(10), 30).log_probabilities(states, targets, rng)
    assert float((partly - exact).abs().mean()) < 0.3


def test_int8_products_are_close_in_both_directions() -> None:
    torch.manual_seed(0)
    layer = FrozenLinear([torch.randn(64, 96) / 10, torch.randn(32, 96) / 10])
    for b in layer.B:
        torch.nn.init.normal_(b, std=0.1)
    x = torch.randn(40, 96) * torch.linspace(0.1, 20, 96)  # channels of very different size
    results = []
    for quantized in (False, True):
        if quantized:
            layer.prepare(x.abs().amax(0))
        given = x.clone().requires_grad_()
        y = layer(given)
        y.square().sum().backward()
        results.append((y.detach(), given.grad))
    for exact, rounded in zip(*results, strict=True):
        assert float((exact - rounded).norm() / exact.norm()) < 0.02


def pictures(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)


@pytest.fixture
def trainer(tmp_path: Path, tokenizer: Any, weights: dict[str, Any], tiny: Assembly) -> Any:
    shown = pictures(12)
    captioned = [Photo(f"{i}.jpg", CAPTIONS, "train") for i in range(12)]
    asked = (QuestionAnswer("Where is the dog?", ("Outside.",), ("Inside.", "Nowhere.", "At sea."), "where"),)
    questioned = [Photo(f"{i}.jpg", split="train", qa=asked) for i in range(12)]
    courses = [
        Course("captions", captioned, shown, CaptionTeacher(captioned, 6, 1)),
        Course("questions", questioned, shown, QuestionTeacher(questioned)),
    ]

    def make(folder: str = "run", **changes: Any) -> Trainer:
        torch.manual_seed(0)
        (tmp_path / folder).mkdir(exist_ok=True)
        mixture = {"captions": 2, "questions": 1}
        recipe = Recipe(steps=6, self_critical_steps=2, batch=3, length=305, samples=3, mixture=mixture, **changes)
        model, encoder = LanguageModel(weights, recipe.dropout), Encoder(tiny.vision.encoder)
        connector = Connector(192, channels(tiny.vision.encoder))
        out = tmp_path / folder
        return Trainer(model, encoder, connector, tokenizer, courses, courses, recipe, out, negatives=40)

    return make


def test_what_other_processes_make_ahead_is_what_this_one_makes(trainer: Any) -> None:
    maker = trainer()._batches
    steps = range(2, 8)
    alone, helped = list(maker.ahead(steps, 0)), list(maker.ahead(steps, 2))
    for a, b in zip(alone, helped, strict=True):
        assert a.views == b.views and a.lessons == b.lessons
        for x, y in zip(a.packed, b.packed, strict=True):
            np.testing.assert_array_equal(x.ids, y.ids)
            np.testing.assert_array_equal(x.sees, y.sees)


def test_an_encoder_that_is_not_to_learn_stays_as_it_is(trainer: Any) -> None:
    frozen, learning = trainer("frozen", encoder_stages=0), trainer("learning", encoder_stages=3)
    before = {name: value.clone() for name, value in frozen.encoder.tensors().items()}
    for one in (frozen, learning):
        one.train_step()
    for name, value in before.items():
        assert torch.equal(frozen.encoder.tensors()[name], value)
    changed = [name for name, value in before.items() if not torch.equal(learning.encoder.tensors()[name], value)]
    assert changed and not any(name.startswith(("_conv_stem", "_bn0", "_blocks.3.")) for name in changed)
    assert {name.split(".")[1] for name in changed if name.startswith("_blocks")} == {"4", "5", "6"}
    assert "_bn1.bias" in changed
    assert not any(name.startswith("enc.") for name in frozen.trained())


def test_training_learns_and_resumes_to_the_same_weights(trainer: Any) -> None:
    whole = trainer("whole", choice_weight=1.0)
    before = losses_of_the_first_batch(whole)
    for _ in range(8):
        whole.train_step()
    after = losses_of_the_first_batch(whole)
    assert after["loss"] < before["loss"] and after["choice_loss"] < before["choice_loss"]

    first = trainer("parts", choice_weight=1.0)
    for _ in range(3):
        first.train_step()
    first.save()
    second = trainer("parts", choice_weight=1.0)
    assert second.resume() and second.step == 3
    for _ in range(5):
        second.train_step()
    for name, value in whole.trained().items():
        torch.testing.assert_close(second.trained()[name], value, rtol=1e-3, atol=1e-5)


def losses_of_the_first_batch(trained: Trainer) -> dict[str, Any]:
    batch = trained._batches.make(0)
    with torch.no_grad():
        images = trained.images(trained._batches.slots(0), batch.views)
        return trained.losses(images, batch.packed, np.random.default_rng(0)).figures()


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_rounded_weights_start_from_nearly_the_same_loss(trainer: Any, precision: str) -> None:
    exact, rounded = trainer("exact", dropout=0.0), trainer("rounded", precision=precision, dropout=0.0)
    rounded.prepare()
    rounded.model.step = None  # compiling takes longer than all the rest
    assert float(rounded.train_step()["loss"]) == pytest.approx(float(exact.train_step()["loss"]), rel=0.02)


def test_decoding_in_training_is_the_decoding_of_the_whole_sequence(trainer: Any) -> None:
    trained = trainer("run")
    images = torch.randn(2, TOKENS, 192)
    said = trained.speaker.say(images, "What?", most=5)
    packer, model = trained._packer, trained.model
    for image, (text,) in zip(images, said, strict=True):
        ids = [*packer.prefix, *packer.question_ids("What?")]
        answer: list[int] = []
        for _ in range(5):
            x = model.embedding[torch.tensor(ids + answer)][None].clone()
            x[0, packer.image_start : packer.image_start + TOKENS] = image
            length = x.shape[1]
            bias = torch.full((1, length, length), float("-inf")).triu(1)
            with torch.no_grad():
                state = model(x, torch.arange(length)[None], bias)[0, -1]
            words = trained.frequent_tokens()
            best = int(words[int((state @ model.embedding[words].t()).argmax())])
            if best == packer.answer_ids("")[0]:
                break
            answer.append(best)
        assert trained.speaker.text(answer) == text


def test_alignment_brings_pictures_near_their_words(tokenizer: Any, tiny: Assembly) -> None:
    photos = [Photo("", ("A dog runs.", "A dog.") if i % 2 else ("A boat sails.", "A boat.")) for i in range(40)]
    course = Course("two", photos, np.tile(pictures(2), (20, 1, 1, 1)), CaptionTeacher(photos, 4, 1))
    torch.manual_seed(0)
    embedding = torch.randn(300, 192)

    def loss_after(steps: int) -> float:
        connector = Connector(192, channels(tiny.vision.encoder))
        return align(Encoder(tiny.vision.encoder), connector, course, tokenizer, embedding, steps=steps, seed=1)

    assert loss_after(40) < 0.7 * loss_after(2)


def test_examination_and_curves(trainer: Any) -> None:
    trained = trainer("run")
    trained.run()
    records = [json.loads(line) for line in (trained.out / "log.jsonl").read_text().splitlines()]
    assert records[-1]["step"] == 8
    assert {"dev_cider", "dev_captions_loss", "dev_questions_choice_right"} <= records[-1].keys()


def test_the_saved_adapter_is_what_the_builder_reads(trainer: Any, tiny: Assembly) -> None:
    trained = trainer("run")
    trained.train_step()
    trained.save()
    adapter = read_adapter(trained.out / "adapter.safetensors")
    assert len(adapter.updates) == 14 and adapter.connector["pos"].shape == (TOKENS, 192)
    seen = with_trained_encoder(tiny.vision.encoder, adapter)
    changed = {name for name in seen if not np.allclose(seen[name], tiny.vision.encoder[name], rtol=1e-3, atol=1e-6)}
    assert "_blocks.4._bn1.bias" in changed and "_bn1.running_var" not in changed
