"""Models of text alone at their smallest against transformers: tokens in every precision, prompts, and what is
refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

import tiny_checkpoints
import torch
from exported import Exported, export, greedy, noise

from lorgnette.device.errors import InputError
from lorgnette.export.architectures.registry import read_model
from lorgnette.export.checkpoint.folder import open_folder
from lorgnette.export.llama import WeightsFormatError
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Exchange, Prompt

pytestmark = pytest.mark.torch
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama-tied": {"kind": "Llama", "tie_word_embeddings": True},
    "llama3-wide-head": {"kind": "Llama", "rope_parameters": LLAMA3, "head_dim": 32},
    "llama-all-biases": {"kind": "Llama", "attention_bias": True, "mlp_bias": True},
    "qwen2-tied": {"kind": "Qwen2", "tie_word_embeddings": True},
    "qwen2": {"kind": "Qwen2", "use_sliding_window": False},
    "mistral": {"kind": "Mistral", "sliding_window": None},
    "llama-base": {"kind": "Llama", "template": ""},
}


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("causal"), tiny_checkpoints.causal, **KINDS[request.param])


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt("Hello?"),
        Prompt("And now? " + "Say more. " * 30),
        Prompt("And now?", None, (Exchange("Who are you?", "A lamp."), Exchange("Since when?", "Always."))),
    ],
)
def test_thirty_greedy_tokens_equal_pytorch(exported: Exported, prompt: Prompt) -> None:
    engine = exported.engine("fp32", max_new_tokens=30)
    ids = torch.tensor([engine._prompts.write(prompt).rest])
    with torch.no_grad():
        generated = exported.reference.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=30, do_sample=False
        )[0]
    expected = generated[ids.shape[1] :].tolist()
    assert greedy(engine, prompt) == [token for token in expected if token != 2]


def test_logits_equal_pytorch(exported: Exported) -> None:
    ids = list(range(4, 104))
    embeds = exported.session("embed_tokens", "fp32").run({"input_ids": np.array([ids])})["inputs_embeds"]
    session = exported.session("decoder_model_merged", "fp32")
    feeds = {
        "inputs_embeds": embeds,
        "attention_mask": np.ones((1, 100), np.int64),
        "position_ids": np.arange(100)[None],
    }
    past = [name for name in session.inputs if name.startswith("past")]
    geometry = exported.bundle.decoder
    empty = np.zeros((1, geometry.kv_heads, 0, geometry.head_dim), np.float32)
    actual = session.run({**feeds, **dict.fromkeys(past, empty)})["logits"][0, -1]
    with torch.no_grad():
        expected = exported.reference(torch.tensor([ids])).logits[0, -1].numpy()
    assert np.abs(actual - expected).max() <= 1e-3


@pytest.mark.parametrize("precision", ["fp16", "int8", "int4", "int4f16"])
def test_every_precision_answers(exported: Exported, precision: str) -> None:
    assert len(greedy(exported.engine(precision, max_new_tokens=8), Prompt("Hello?"))) > 0


def test_a_conversation_is_that_of_the_chat_template(exported: Exported) -> None:
    engine = exported.engine("fp32")
    ids = engine._prompts.write(Prompt("And now?", None, (Exchange("Who?", "A lamp."),)))
    expected = (
        "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\nA lamp.<|im_end|>\n"
        "<|im_start|>user\nAnd now?<|im_end|>\n<|im_start|>assistant\n"
        if (exported.checkpoint / "chat_template.jinja").exists()
        else "Who?\nA lamp.\nAnd now?\n"
    )
    assert engine._tokenizer.decode(ids.rest) == expected


def test_it_sees_no_pictures_and_says_so(exported: Exported) -> None:
    engine = exported.engine("fp32")
    for ask in (
        lambda: engine.look(noise(20, 20)),
        lambda: engine.stream(Prompt("What is this?", noise(20, 20)), CancelScope()),
        lambda: engine.log_probabilities(Prompt("What is this?", noise(20, 20)), ["a dog"]),
    ):
        with pytest.raises(InputError, match=r"^checkpoint sees no pictures") as refusal:
            ask()
        assert "\n" not in str(refusal.value)


def test_the_bundle_is_checked_and_has_no_eyes(exported: Exported) -> None:
    bundle = ModelBundle.open(exported.bundle.folder, verify=True)
    assert bundle.preprocessing is None
    assert (bundle.prompt.image_token, bundle.prompt.tokens_per_image) == ("", 0)
    assert not [file.name for file in bundle.files if file.role == "vision_encoder"]


def reread(folder: Path, **changes: Any) -> Any:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return read_model(open_folder(folder))


@pytest.mark.parametrize(
    ("kind", "changes", "complaint"),
    [
        ("Mistral", {"sliding_window": 4096}, "sliding-window attention"),
        ("Qwen2", {"use_sliding_window": True}, "sliding-window attention"),
        ("Qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "sliding-window attention"),
        ("Llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "'yarn' is not supported"),
        ("Llama", {"hidden_act": "gelu"}, "the activation 'gelu'"),
        ("Llama", {"intermediate_size": 64}, "config.json says"),
        ("Llama", {"num_hidden_layers": 3}, "lacks the tensor model.layers.2"),
        ("Llama", {"model_type": "gemma"}, "gemma model, which cannot be exported"),
    ],
)
def test_what_is_another_graph_is_refused(kind: str, changes: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    tiny_checkpoints.causal(tmp_path, kind, **({"sliding_window": None} if kind == "Mistral" else {}))
    with pytest.raises((WeightsFormatError, InputError), match=complaint):
        reread(tmp_path, **changes)


def test_mistral_that_does_not_name_its_window_has_one(tmp_path: Path) -> None:
    tiny_checkpoints.causal(tmp_path, "Mistral", sliding_window=None)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["sliding_window"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsFormatError, match="sliding-window"):
        read_model(open_folder(tmp_path))


@pytest.mark.parametrize(("stated", "opening"), [(True, "<|im_start|>"), (False, ""), (None, "")])
def test_a_base_model_begins_with_bos_if_it_was_trained_so(stated: bool | None, opening: str, tmp_path: Path) -> None:
    tiny_checkpoints.causal(tmp_path, template="")
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"add_bos_token": stated}))
    prompt = read_model(open_folder(tmp_path)).prompt
    assert (prompt.opening, prompt.before_question, prompt.end_of_question) == (opening, "", "\n")


def test_bos_of_the_tokenizers_own_making_counts_too(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, processors

    tiny_checkpoints.causal(tmp_path, template="")
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert read_model(open_folder(tmp_path)).prompt.opening == "<|im_start|>"


def test_a_tokenizer_that_puts_spaces_before_texts_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tiny_checkpoints.causal(tmp_path)
    tokenizer = Tokenizer(models.BPE(vocab={"\u2581": 0, "a": 1, ".": 2}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(WeightsFormatError, match="puts a space before every text"):
        read_model(open_folder(tmp_path))
