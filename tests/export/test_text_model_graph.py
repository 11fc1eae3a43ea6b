"""A model of text alone: its three graphs, one data file, and the same logits either way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from lorgnette.device.session import OnnxSession
from lorgnette.export.assembly import Assembly, Plan, assemble
from lorgnette.export.precision import PRECISIONS, Precision
from lorgnette.llm.bundle import ModelBundle

IDS = [1, 40, 90, 200, 33, 7, 150, 99]
EVERY = tuple(PRECISIONS.values())


@pytest.fixture(scope="module", params=["tied", "untied"])
def bundle(request: pytest.FixtureRequest, tiny: Assembly, tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    folder = tmp_path_factory.mktemp("text")
    prompt = replace(
        tiny.prompt, image_token="", tokens_per_image=0, whole="", text_heading="", text_line="", no_text=""
    )
    language = tiny.language
    if request.param == "untied":
        language = replace(language, tensors={**language.tensors, "lm_head.weight": -language.embedding})
    model = replace(tiny, name=request.param, language=language, vision=None, preprocessing=None, prompt=prompt)
    # A browser's plan: no table in another session's file.
    assemble(model, folder, Plan(decoder=EVERY, share_table=False), "test", "test")
    return ModelBundle.open(folder)


@pytest.mark.parametrize("precision", EVERY, ids=[one.name for one in EVERY])
def test_one_session_gives_the_logits_of_two(bundle: ModelBundle, open_decoder: Any, precision: Precision) -> None:
    two, one = open_decoder(bundle.folder, precision.suffix), OnnxSession(bundle.path("model", precision.suffix)).raw
    assert "inputs_embeds" not in [value.name for value in one.get_inputs()]
    cache = {name: array.astype(np.float16 if precision.half else np.float32) for name, array in two.empty().items()}
    expected, expected_cache = two.step(two.embeds(IDS), cache)
    feeds = {
        "input_ids": np.array([IDS], np.int64),
        "attention_mask": np.ones((1, len(IDS)), np.int64),
        "position_ids": np.arange(len(IDS), dtype=np.int64)[None],
    }
    logits, *present = one.run(None, feeds | cache)
    np.testing.assert_array_equal(logits, expected)
    for array, other in zip(present, expected_cache.values(), strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("precision", EVERY, ids=[one.name for one in EVERY])
def test_the_tensors_lie_in_its_data_file_once(bundle: ModelBundle, precision: Precision) -> None:
    suffix = precision.suffix
    sessions = {f"onnx/{role}{suffix}.onnx" for role in ("embed_tokens", "decoder_model_merged", "model")}
    written = {file.name for file in bundle.files if file.suffix == suffix and file.role != "tokenizer"}
    assert written == {*sessions, f"onnx/model{suffix}.onnx_data"}
    graph = onnx.load(bundle.path("model", suffix), load_external_data=False).graph
    offsets = {one.name: one.external_data[1].value for one in graph.initializer if one.external_data}
    table, head = ("embedding", "head.data") if precision.quantized else ("embedding", "head")
    assert (offsets[f"embed_tokens.{table}"] == offsets[head]) == (bundle.name == "tied")
