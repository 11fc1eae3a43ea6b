"""The real model: built from the catalogue's weights, equal to PyTorch, and within its bars."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorgnette.assistant.config import load_config
from lorgnette.assistant.embedded_bundle import shipped_adapter
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.export.adapter import merge, read_adapter
from lorgnette.export.embedded import build
from lorgnette.export.gguf_checkpoint import read_gguf
from lorgnette.export.llama import LlamaWeights
from lorgnette.export.sources import Sources
from lorgnette.llm.bundle import BundleError, ModelBundle

pytestmark = pytest.mark.weights

QUESTIONS = (
    "What is in this picture?",
    "Is there a dog?",
    "What colour is the car?",
    "How many people are there?",
    "What is the woman doing?",
    "Describe the scene.",
    "What is the capital of France?",
    "Write a short poem about the sea.",
    "What is 12 times 3?",
    "Explain gravity to a child.",
    "Name three fruits.",
    "Is the sky blue?",
    "Who wrote Hamlet?",
    "Give me a recipe for pancakes.",
    "Translate good morning to Spanish.",
    "What day comes after Monday?",
    "Tell me a joke.",
    "How do I boil an egg?",
    "What is a lorgnette?",
    "Can you help me cross the street?",
)


@pytest.fixture(scope="module")
def sources() -> Sources:
    store = WeightStore.from_config(load_config())
    return Sources(store.path("smollm2-135m-instruct"), store.path("efficientnet-lite2"), shipped_adapter())


@pytest.fixture(scope="module")
def bundle(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    out = tmp_path_factory.mktemp("embedded") / "bundle"
    return build(sources.gguf, sources.encoder, sources.adapter, out, precisions=("int8", "fp32"))


@pytest.fixture(scope="module")
def merged(sources: Sources) -> LlamaWeights:
    return merge(read_gguf(sources.gguf).weights, read_adapter(sources.adapter))


@pytest.fixture(scope="module")
def prompts(bundle: ModelBundle) -> list[list[int]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bundle.path("tokenizer")))
    texts = [bundle.prompt.before_image + question + bundle.prompt.end_of_question for question in QUESTIONS]
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def test_parity_figures_meet_their_bars(bundle: ModelBundle) -> None:
    assert bundle.parity["mean_kl"] <= 0.006
    assert bundle.parity["top1"] >= 0.9
    assert bundle.parity["positions"] > 100


def test_manifest_facts(bundle: ModelBundle) -> None:
    assert bundle.prompt.tokens_per_image == 100
    assert bundle.prompt.stop_ids == (2,)
    decoder = bundle.decoder
    assert (decoder.layers, decoder.kv_heads, decoder.head_dim, decoder.hidden) == (30, 3, 64, 576)
    assert sum(file.size for file in bundle.files if file.suffix == "_quantized") < 160e6
    assert len(bundle.parts) == 3 and all(len(part.sha256) == 64 for part in bundle.parts)


def test_quantized_embedding_is_exact(bundle: ModelBundle, merged: LlamaWeights, open_decoder: Any) -> None:
    """GGUF's Q8_0 blocks go into ours without a second rounding."""
    decoder = open_decoder(bundle.folder, "_quantized")
    rows = decoder.embeds(list(range(0, 49152, 7)))[0]
    np.testing.assert_allclose(rows, merged.embedding[::7], rtol=1e-6, atol=0)


@pytest.mark.torch
def test_greedy_tokens_equal_pytorch(
    bundle: ModelBundle, merged: LlamaWeights, prompts: list[list[int]], open_decoder: Any, torch_llama: Any
) -> None:
    """20 prompts x 30 tokens, every one the same; and the logits after each prompt."""
    import torch

    reference = torch_llama(merged)
    decoder = open_decoder(bundle.folder, "")
    assert len(prompts) == 20
    for question, ids in zip(QUESTIONS, prompts, strict=True):
        logits, _ = decoder.step(decoder.embeds(ids), decoder.empty())
        chosen = decoder.greedy(ids, 30)
        # One pass over the whole: if PyTorch's first choice is ours at every place, its own greedy text is ours too.
        with torch.no_grad():
            expected = reference(torch.tensor([ids + chosen])).logits[0, len(ids) - 1 : -1].numpy()
        assert expected.argmax(axis=-1).tolist() == chosen, question
        assert np.abs(logits[0, -1] - expected[0]).max() <= 1e-3, question


@pytest.mark.parametrize("suffix", ["", "_quantized"])
def test_picture_prefix_can_be_kept(
    bundle: ModelBundle, prompts: list[list[int]], open_decoder: Any, suffix: str
) -> None:
    """Prefill of a prefix, then of two questions on it, equals prefill of the whole."""
    decoder = open_decoder(bundle.folder, suffix)
    rows = np.random.default_rng(0).standard_normal((1, 28, 576)).astype(np.float32)
    _, prefix = decoder.step(rows, decoder.empty())
    for ids in prompts[:2]:
        question = decoder.embeds(ids)
        parts, _ = decoder.step(question, prefix)
        whole, _ = decoder.step(np.concatenate([rows, question], axis=1), decoder.empty())
        np.testing.assert_allclose(parts, whole, atol=1e-4)


def test_int8_agrees_with_fp32(bundle: ModelBundle, prompts: list[list[int]], open_decoder: Any) -> None:
    """The first choice after each prompt is the same, or the two were nearly tied."""
    exact, rounded = (open_decoder(bundle.folder, suffix) for suffix in ("", "_quantized"))
    for ids in prompts:
        expected = exact.step(exact.embeds(ids), exact.empty())[0][0, -1]
        actual = rounded.step(rounded.embeds(ids), rounded.empty())[0][0, -1]
        assert expected.max() - expected[actual.argmax()] < 0.5


def test_an_up_to_date_bundle_is_not_built_again(bundle: ModelBundle, sources: Sources) -> None:
    before = bundle.path("decoder_model_merged").stat().st_mtime_ns
    stages: list[str] = []
    again = build(
        sources.gguf,
        sources.encoder,
        sources.adapter,
        bundle.folder,
        lambda stage, done: stages.append(stage),
        precisions=("int8", "fp32"),
    )
    assert stages == ["looking at the weights"]
    assert again.inputs == bundle.inputs
    assert again.path("decoder_model_merged").stat().st_mtime_ns == before


def test_a_failed_build_leaves_the_old_bundle(sources: Sources, tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    shutil.copytree(tiny_folder, out)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(sources.gguf.read_bytes()[:1_000_000])
    with pytest.raises(Exception, match="GGUF"):
        build(broken, sources.encoder, sources.adapter, out)
    assert ModelBundle.open(out, verify=True).name == "tiny-vlm"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["bundle"]


def test_missing_weights_are_named(sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere\.safetensors"):
        build(sources.gguf, sources.encoder, tmp_path / "nowhere.safetensors", tmp_path / "bundle")
