"""The training's parts against plain counterparts: packing, int8 products, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorgnette.export.gguf_checkpoint import byte_level_tokenizer
from lorgnette.llm.evaluation.caption_questions import Question

torch = pytest.importorskip("torch")

from lorgnette.export.adapter import read_adapter  # noqa: E402
from lorgnette.export.train.connector import TOKENS, Connector  # noqa: E402
from lorgnette.export.train.features import EncodedSplit  # noqa: E402
from lorgnette.export.train.frozen_linear import FrozenLinear  # noqa: E402
from lorgnette.export.train.language_model import LanguageModel  # noqa: E402
from lorgnette.export.train.packing import Packer  # noqa: E402
from lorgnette.export.train.trainer import Recipe, Trainer  # noqa: E402

pytestmark = pytest.mark.torch

QUESTIONS = [
    Question("description", "What?", ("A dog runs.", "A dog.")),
    Question("presence", "Is there a dog?", ("Yes.",)),
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
    packer = Packer(tokenizer, 4, 120)
    packed = packer.pack(QUESTIONS)

    def hidden(ids: Any, positions: Any, sees: Any) -> Any:
        bias = torch.zeros(sees.shape).masked_fill_(~torch.from_numpy(sees), float("-inf"))
        with torch.no_grad():
            return model(model.embedding[torch.from_numpy(ids)][None], torch.from_numpy(positions)[None], bias[None])[0]

    together = hidden(packed.ids, packed.positions, packed.sees)[packed.at]
    row = 0
    for question in QUESTIONS:
        for answer in question.answers:
            told = packer.answer_ids(answer)
            prefix = list(packed.ids[: packer.image_start + 4])
            alone = np.array([*prefix, *packer.question_ids(question.text), *told[:-1]])
            states = hidden(alone, np.arange(len(alone)), np.tri(len(alone), dtype=bool))[-len(told) :]
            torch.testing.assert_close(together[row : row + len(told)], states, rtol=1e-4, atol=1e-4)
            assert packed.targets[row : row + len(told)].tolist() == told
            row += len(told)
    assert row == len(packed.at)


def test_what_does_not_fit_is_left_out_whole(tokenizer: Any) -> None:
    packed = Packer(tokenizer, 4, 70).pack(QUESTIONS)
    full = Packer(tokenizer, 4, 120).pack(QUESTIONS)
    assert 0 < len(packed.at) < len(full.at)
    np.testing.assert_array_equal(packed.targets, full.targets[: len(packed.targets)])


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


@pytest.fixture
def trainer(tmp_path: Path, tokenizer: Any, weights: dict[str, Any]) -> Any:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((12, 2, 100, 1280)).astype(np.float16)
    split = EncodedSplit([CAPTIONS] * 12, np.arange(12), features)
    recipe = Recipe(steps=6, batch=2, length=230)

    def make(folder: str = "run") -> Trainer:
        torch.manual_seed(0)
        (tmp_path / folder).mkdir(exist_ok=True)
        model, connector = LanguageModel(weights), Connector(192)
        return Trainer(model, connector, tokenizer, split, split, recipe, tmp_path / folder, negatives=40)

    return make


def test_training_learns_and_resumes_to_the_same_weights(trainer: Any) -> None:
    whole = trainer("whole")
    losses = [whole.train_step() for _ in range(6)]
    assert losses[-1] < losses[0]

    first = trainer("parts")
    for _ in range(3):
        first.train_step()
    first.save()
    second = trainer("parts")
    assert second.resume() and second.step == 3
    for _ in range(3):
        second.train_step()
    for name, value in whole.trained().items():
        torch.testing.assert_close(second.trained()[name], value, rtol=1e-3, atol=1e-5)


def test_the_saved_adapter_is_what_the_builder_reads(trainer: Any) -> None:
    trained = trainer("run")
    trained.train_step()
    trained.save()
    adapter = read_adapter(trained.out / "adapter.safetensors")
    assert len(adapter.updates) == 14 and adapter.connector["pos"].shape == (TOKENS, 192)
