"""The PyTorch reference against the tiny bundle: the same model twice must give the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.device.session import OnnxSession
from lorgnette.export.assembly import Assembly
from lorgnette.export.train.torch_engine import TorchDecoder, TorchEmbedding, TorchEngine
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.decoder import Decoder
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine

pytestmark = pytest.mark.torch
SETTINGS = EngineSettings(max_new_tokens=12)
QUESTIONS = ("What is this?", "Is there a dog in the picture?")


def exact_engine(bundle: ModelBundle) -> OnnxEngine:
    """The tiny bundle with its fp32 files."""
    return OnnxEngine(
        bundle,
        SETTINGS,
        embed=OnnxSession(bundle.path("embed_tokens", "")),
        decoder=Decoder(OnnxSession(bundle.path("decoder_model_merged", "")), bundle.decoder),
    )


def torch_engine(bundle: ModelBundle, tiny: Assembly) -> OnnxEngine:
    embed, decoder = TorchEmbedding(tiny.language.embedding), TorchDecoder(tiny.language, bundle.decoder)
    return OnnxEngine(bundle, SETTINGS, embed=embed, decoder=decoder)


@pytest.fixture(scope="module")
def pictures() -> list[Frame | None]:
    random = np.random.default_rng(5)
    return [Frame(random.integers(0, 255, (60, 80, 3), dtype=np.uint8)), None]


def test_same_answers_with_and_without_picture(tiny: Assembly, tiny_folder: Path, pictures: list[Frame | None]) -> None:
    bundle = ModelBundle.open(tiny_folder)
    ours, theirs = exact_engine(bundle), torch_engine(bundle, tiny)
    for picture in [*pictures, pictures[0]]:
        for question in QUESTIONS:
            answers = [list(engine.stream(Prompt(question, picture), CancelScope())) for engine in (ours, theirs)]
            assert [token.id for token in answers[0]] == [token.id for token in answers[1]]
            probabilities = [[token.log_probability for token in answer] for answer in answers]
            assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-4)


def test_same_weights_of_given_answers(tiny: Assembly, tiny_folder: Path, pictures: list[Frame | None]) -> None:
    bundle = ModelBundle.open(tiny_folder)
    ours, theirs = exact_engine(bundle), torch_engine(bundle, tiny)
    answers = ["A dog.", "Two men are playing chess.", "No."]
    for picture in pictures:
        prompt = Prompt(QUESTIONS[0], picture)
        assert ours.log_probabilities(prompt, answers) == pytest.approx(
            theirs.log_probabilities(prompt, answers), abs=1e-3
        )


def test_weights_of_answers_are_what_one_pass_over_all_of_it_gives(tiny: Assembly, tiny_folder: Path) -> None:
    """Against the whole sequence at once, without any cache."""
    import torch

    from lorgnette.export.train.torch_engine import torch_llama
    from lorgnette.llm.prompt import PromptWriter
    from lorgnette.llm.tokenizer import Tokenizer

    bundle = ModelBundle.open(tiny_folder)
    tokenizer = Tokenizer(bundle.path("tokenizer"))
    ids = list(PromptWriter(bundle.prompt, tokenizer, bundle.decoder.context).write(Prompt(QUESTIONS[0])).rest)
    answer = tokenizer.text_ids("A dog.")
    with torch.inference_mode():
        logits = torch_llama(tiny.language)(torch.tensor([[*ids, *answer]])).logits[0, len(ids) - 1 :]
    rows = logits.double().log_softmax(-1)
    stop = rows[-1, list(bundle.prompt.stop_ids)].logsumexp(0)
    expected = sum(float(rows[i, token]) for i, token in enumerate(answer)) + float(stop)
    assert exact_engine(bundle).log_probabilities(Prompt(QUESTIONS[0]), ["A dog."]) == pytest.approx(
        [expected], abs=1e-3
    )


def test_files_that_the_bundle_was_not_made_of(tiny_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"other")
    with pytest.raises(InputError, match="was not made of"):
        TorchEngine(ModelBundle.open(tiny_folder), other, other, SETTINGS)
