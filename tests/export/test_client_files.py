"""The files for other programs, made of what checkpoints of several ages have beside their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tiny_checkpoints import SMOLVLM_SPECIAL, write_tokenizer
from tokenizers import Tokenizer

from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.checkpoint.origin import Origin
from lorgnette.export.client_files import client_files, with_sessions
from lorgnette.llm.manifest import Preprocessing, PromptTemplate

TEMPLATE = "{{ messages }}"
HALF = (127.5,) * 3
TILES = Preprocessing(64, 64, HALF, HALF, "squash", "lanczos", "NTCHW", "RGB", longest_edge=256, max_tiles=17)
WHOLE = Preprocessing(64, 48, HALF, HALF, "squash", "bicubic", "NCHW", "RGB")
CONFIG = {"model_type": "smolvlm", "text_config": {"hidden_size": 64}}


def prompt(image_token: str = "<image>", stop_ids: tuple[int, ...] = (2,)) -> PromptTemplate:
    return PromptTemplate("", "", "", "", "", "", "", image_token, 4 if image_token else 0, stop_ids)


def written(
    folder: Path,
    config: Mapping[str, Any] = CONFIG,
    preprocessing: Preprocessing | None = TILES,
    template: PromptTemplate | None = None,
    **files: Any,
) -> dict[str, Any]:
    """The client files of a checkpoint with `files` (JSON by stem), parsed."""
    write_tokenizer(folder, SMOLVLM_SPECIAL)
    for stem, content in files.items():
        (folder / f"{stem}.json").write_text(json.dumps(content))
    checkpoint = Checkpoint(folder, config, {}, Origin("org/name", "", "", {}))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    contents = client_files(
        checkpoint, tokenizer, template or prompt(), preprocessing, layers=2, default_template=TEMPLATE
    )
    return {name: json.loads(text) if name.endswith(".json") else text.decode() for name, text in contents.items()}


def test_what_a_checkpoint_leaves_out_is_said(tmp_path: Path) -> None:
    files = written(tmp_path)
    config = files["config.json"]
    assert config["architectures"] == ["SmolVLMForConditionalGeneration"]
    assert config["text_config"] == {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2}
    assert config["image_token_id"] == SMOLVLM_SPECIAL.index("<image>") and "image_token_index" not in config
    assert files["generation_config.json"] == {"eos_token_id": 2}
    assert files["chat_template.jinja"] == files["tokenizer_config.json"]["chat_template"] == TEMPLATE
    facts = files["preprocessor_config.json"]
    assert (facts["processor_class"], facts["image_processor_type"]) == ("SmolVLMProcessor", "SmolVLMImageProcessor")
    assert (facts["size"], facts["max_image_size"]) == ({"longest_edge": 256}, {"longest_edge": 64})
    assert (facts["resample"], facts["do_image_splitting"]) == (1, True)
    assert files["processor_config.json"] == {"processor_class": "SmolVLMProcessor", "image_seq_len": 4}


def test_what_holds_for_the_checkpoint_only_is_left_out(tmp_path: Path) -> None:
    config = {
        **CONFIG,
        "_name_or_path": "/somebody/else",
        "torch_dtype": "bfloat16",
        "dtype": "bfloat16",
        "quantization_config": {"load_in_4bit": True},
        "text_config": {"dtype": "bfloat16", "use_cache": False, "model_type": "llama", "num_hidden_layers": 30},
        "image_token_index": 49190,
        "transformers.js_config": {"kv_cache_dtype": {"fp16": "float16"}},
    }
    tokenizer = {"name_or_path": "/somebody/else", "eos_token": "<end_of_utterance>"}
    generation = {"eos_token_id": 0, "_from_model_config": True, "use_cache": False, "temperature": 0.6}
    files = written(
        tmp_path,
        config,
        template=prompt(stop_ids=(2, 0)),
        tokenizer_config=tokenizer,
        generation_config=generation,
        special_tokens_map={"eos_token": "<end_of_utterance>"},
    )
    assert files["config.json"] == {
        "model_type": "smolvlm",
        "architectures": ["SmolVLMForConditionalGeneration"],
        "text_config": {"model_type": "llama", "num_hidden_layers": 2},
        "image_token_id": 5,
        "image_token_index": 5,
    }
    assert files["generation_config.json"] == {"eos_token_id": [2, 0], "temperature": 0.6}
    assert set(files["tokenizer_config.json"]) == {"tokenizer_class", "eos_token", "chat_template"}
    assert files["special_tokens_map.json"] == {"eos_token": "<end_of_utterance>"}


@pytest.mark.parametrize("kind", ["Idefics3ImageProcessor", "Idefics3ImageProcessorFast", "Idefics3ImageProcessorPil"])
def test_processors_of_transformers_4_and_5_give_the_same_files(tmp_path: Path, kind: str) -> None:
    config = {"model_type": "idefics3", "text_config": {}}
    facts = {"image_processor_type": kind, "do_pad": True, "resample": 1, "do_image_splitting": False}
    rest = {"processor_class": "Idefics3Processor", "image_seq_len": 169}
    one = written(tmp_path / "5", config, processor_config={**rest, "image_processor": facts, "chat_template": "old"})
    other = written(
        tmp_path / "4", config, processor_config=rest, preprocessor_config=facts, chat_template={"chat_template": "old"}
    )
    assert one == other
    assert one["chat_template.jinja"] == one["tokenizer_config.json"]["chat_template"] == "old"
    assert one["processor_config.json"] == {"processor_class": "Idefics3Processor", "image_seq_len": 4}
    assert one["preprocessor_config.json"]["image_processor_type"] == "Idefics3ImageProcessor"
    # The bundle's own runtime cuts pictures into tiles here, so the clients are to do it too.
    assert one["preprocessor_config.json"]["do_image_splitting"]


def test_a_processor_without_tiles_squashes(tmp_path: Path) -> None:
    config = {"model_type": "llava_onevision", "text_config": {}}
    files = written(tmp_path, config, WHOLE, preprocessor_config={"size": {"height": 1, "width": 1}})
    assert files["config.json"]["text_config"]["model_type"] == "qwen2"
    assert files["preprocessor_config.json"]["size"] == {"height": 48, "width": 64}
    assert files["preprocessor_config.json"]["resample"] == 3
    assert files["preprocessor_config.json"]["image_processor_type"] == "LlavaOnevisionImageProcessor"
    assert files["processor_config.json"] == {"processor_class": "LlavaOnevisionProcessor"}


def test_a_model_of_text_alone_has_no_processor(tmp_path: Path) -> None:
    files = written(tmp_path, {"model_type": "qwen2", "tie_word_embeddings": True}, None, prompt(""))
    assert set(files) == {"config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"}
    assert files["config.json"] == {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "num_hidden_layers": 2,
        "tie_word_embeddings": True,
    }


def test_only_sessions_with_data_of_their_own_are_said_to_have_some(tmp_path: Path) -> None:
    for name in ("model_q4.onnx", "model_q4.onnx_data", "embed_tokens_q4.onnx", "model.onnx"):
        (tmp_path / name).touch()
    config = json.loads(with_sessions(b'{"model_type": "llama"}', tmp_path, {"model": "_q4", "embed_tokens": ""}))
    assert config == {
        "model_type": "llama",
        "transformers.js_config": {
            "dtype": {"model": "q4", "embed_tokens": "fp32"},
            "use_external_data_format": {"model_q4.onnx": 1},
        },
    }
