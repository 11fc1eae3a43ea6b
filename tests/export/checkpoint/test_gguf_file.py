"""A GGUF file as the source of an export: the same bundle as of the folder that it was converted from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_checkpoints import CHATML
from tiny_gguf import write_gguf

from lorgnette.assistant.command_line.main import main
from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.export.architectures.registry import read_model
from lorgnette.export.assembly import Assembly
from lorgnette.export.byte_level_tokenizer import QWEN2, byte_level_tokenizer
from lorgnette.export.checkpoint.gguf_file import open_gguf
from lorgnette.export.gguf_checkpoint import read_gguf
from lorgnette.export.llama import LlamaWeights, WeightsFormatError
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine

Write = Callable[..., Path]
TEXT = "the inn, 1234 <|im_end|>é"


@pytest.fixture
def write(tiny: Assembly, make_models: Any, tmp_path: Path) -> Write:
    def write(model: Assembly = tiny, **options: Any) -> Path:
        path = tmp_path / "tiny-chat.gguf"
        write_gguf(path, model, make_models.MERGES, **{"template": CHATML} | options)
        return path

    return write


@pytest.fixture
def qwen2(tiny: Assembly) -> Assembly:
    """The tiny model with biases and a head of its own, as a Qwen2 has them."""
    random, config = np.random.default_rng(7), tiny.language.config
    tensors = dict(tiny.language.tensors)
    for name, array in tiny.language.tensors.items():
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            tensors[name.replace(".weight", ".bias")] = random.standard_normal(len(array), dtype=np.float32)
    tensors["lm_head.weight"] = random.standard_normal((config.vocabulary, config.hidden), dtype=np.float32)
    return replace(tiny, language=LlamaWeights(config, tensors))


def test_its_fields_say_what_a_folder_would(write: Write, tiny: Assembly) -> None:
    checkpoint = open_gguf(write())
    model = read_model(checkpoint)
    assert (model.name, model.vision, model.preprocessing) == ("tiny-chat", None, None)
    assert model.language.config == tiny.language.config
    assert model.language.head is None
    for name, array in tiny.language.tensors.items():
        assert model.language.tensors[name].shape == array.shape
        np.testing.assert_array_equal(model.language.tensors[name], array)
    assert model.tokenizer.encode(TEXT).ids == tiny.tokenizer.encode(TEXT).ids
    assert model.prompt.end_of_question == "<|im_end|>\n<|im_start|>assistant\n" and model.prompt.stop_ids == (2,)
    part = model.parts[0]
    assert (part.licence, part.source, len(part.sha256)) == ("apache-2.0", "tiny-chat.gguf", 64)
    config = json.loads(model.client_files["config.json"])
    assert config["architectures"] == ["LlamaForCausalLM"] and config["tie_word_embeddings"]
    assert (config["bos_token_id"], config["eos_token_id"], config["rms_norm_eps"]) == (1, 2, 1e-5)
    tokenizer = json.loads(model.client_files["tokenizer_config.json"])
    assert (tokenizer["bos_token"], tokenizer["eos_token"]) == ("<|im_start|>", "<|im_end|>")
    assert tokenizer["chat_template"] == model.client_files["chat_template.jinja"].decode() == CHATML


def test_files_beside_it_are_not_taken_for_its_own(write: Write) -> None:
    path = write()
    (path.parent / "tokenizer.json").write_text("{}")
    (path.parent / "chat_template.jinja").write_text("{{ 'something else' }}")
    assert read_model(open_gguf(path)).prompt.before_question == "<|im_start|>user\n"


def test_a_model_without_a_template_gets_lines(write: Write) -> None:
    assert read_model(open_gguf(write(template=""))).prompt.end_of_question == "\n"


def test_qwen2(write: Write, qwen2: Assembly) -> None:
    model = read_model(open_gguf(write(qwen2, architecture="qwen2", pre="qwen2")))
    for name, array in qwen2.language.tensors.items():
        np.testing.assert_array_equal(model.language.tensors[name], array)
    assert set(model.language.tensors) == set(qwen2.language.tensors)
    config = json.loads(model.client_files["config.json"])
    assert config["architectures"] == ["Qwen2ForCausalLM"] and not config["tie_word_embeddings"]


@pytest.mark.torch
def test_qwen2_cuts_texts_as_transformers_does(make_models: Any) -> None:
    transformers = pytest.importorskip("transformers")
    tokens = list(make_models.tiny_vlm().tokenizer.get_vocab(with_added_tokens=True).items())
    vocabulary = dict(sorted(tokens, key=lambda item: item[1]))
    merges = [tuple(merge.split(" ")) for merge in make_models.MERGES]
    reference = transformers.Qwen2Tokenizer(vocab=vocabulary, merges=merges, add_prefix_space=False)
    ours = byte_level_tokenizer(list(vocabulary), make_models.MERGES, [], split=QWEN2)
    texts = ("it's IN'S", "a  b\n\n c\t", "12345 x9", "e\u0301t\u00e9", "(the)--\r\n", "\u4e2d\u6587 the", "\u00a0 in")
    for text in texts:
        assert ours.pre_tokenizer.pre_tokenize_str(text) == reference.backend_tokenizer.pre_tokenizer.pre_tokenize_str(
            text
        )
        assert ours.encode(text).ids == reference(text, add_special_tokens=False)["input_ids"]


def test_what_is_refused(write: Write, qwen2: Assembly, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsFormatError, match=r"gpt2/none.*gpt2/smollm"):
        open_gguf(write(pre="none"))
    with pytest.raises(WeightsFormatError, match=r"attn_q\.bias"):
        open_gguf(write(qwen2))  # a Llama has no biases
    with pytest.raises(WeightsFormatError, match=r"output\.weight"):
        read_gguf(write(replace(qwen2, language=_without_biases(qwen2.language))))  # for the embedded model
    with pytest.raises(WeightsFormatError, match=r"lacks the tensor model\.layers\.1\.mlp\.up_proj"):
        read_model(open_gguf(write(leave_out="blk.1.ffn_up.weight")))
    path, out = write(), str(tmp_path / "bundle")
    for source, more, reason in (
        (path, ["--revision", "main"], "is a file on this machine"),
        (tmp_path / "none.gguf", [], "neither a folder"),
        (write(architecture="mamba"), [], "mamba"),
    ):
        assert main(["export", str(source), "--out", out, *more]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lorgnette:")]
        assert len(lines) == 1 and reason in lines[0], lines


def _without_biases(weights: LlamaWeights) -> LlamaWeights:
    kept = {name: array for name, array in weights.tensors.items() if not name.endswith(".bias")}
    return LlamaWeights(weights.config, kept)


@pytest.mark.torch
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_bundle_says_what_transformers_says(
    write: Write, tiny: Assembly, qwen2: Assembly, tmp_path: Path, architecture: str
) -> None:
    """transformers reads the file by its own names and row order; the bundle's files open in it too."""
    transformers = pytest.importorskip("transformers")
    model = qwen2 if architecture == "qwen2" else tiny
    pre = "qwen2" if architecture == "qwen2" else "smollm"
    path, out = write(model, architecture=architecture, pre=pre), tmp_path / "bundle"
    assert main(["export", str(path), "--profile", "exact", "--out", str(out)]) == 0
    bundle = ModelBundle.open(out, verify=True)
    report = json.loads((out / "report.json").read_text())
    assert [(one["model"], one["reference"], one["agreement"]) for one in report["comparisons"]] == [
        ("fp32", "PyTorch", 1.0)
    ]
    assert all(bar["met"] for bar in report["bars"])
    assert transformers.AutoConfig.from_pretrained(out).model_type == architecture
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    message = [{"role": "user", "content": "the inn"}]
    ids = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False)
    prompt = bundle.prompt
    text = f"{prompt.opening}{prompt.before_question}the inn{prompt.end_of_question}"
    assert ids == model.tokenizer.encode(text, add_special_tokens=False).ids
    stamp = (out / "manifest.json").stat().st_mtime_ns
    assert main(["export", str(path), "--profile", "exact", "--out", str(out)]) == 0
    assert (out / "manifest.json").stat().st_mtime_ns == stamp


@pytest.mark.weights
@pytest.mark.torch
def test_the_real_file(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    path = WeightStore.from_config(load_config()).path("smollm2-135m-instruct")
    out = tmp_path / "bundle"
    assert main(["export", str(path), "--profile", "cpu", "--decoder", "int8", "--out", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    exact, rounded = report["comparisons"]
    assert (exact["reference"], exact["agreement"]) == ("PyTorch", 1.0)
    assert rounded["model"] == "int8" and rounded["mean_kl"] < 0.01
    engine = OnnxEngine(ModelBundle.open(out), EngineSettings(max_new_tokens=24))
    answer = "".join(token.text for token in engine.stream(Prompt("What is the capital of France?"), CancelScope()))
    assert "Paris" in answer
