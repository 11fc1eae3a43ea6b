"""SmolVLM and Idefics3 at their smallest against transformers: pixels, features, tokens, in every precision."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

import tiny_checkpoints
import torch
from exported import Exported, cosine, export, greedy, noise

from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Exchange, Prompt
from lorgnette.llm.onnx_engine import OnnxEngine

pytestmark = pytest.mark.torch
QUESTION = "What is in this picture?"


@pytest.fixture(scope="module", params=["SmolVLM", "Idefics3"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("idefics3")
    tied = request.param == "SmolVLM"
    return export(folder, tiny_checkpoints.smolvlm, kind=request.param, tied=tied)


def reference_features(exported: Exported, pixels: Any, mask: Any) -> Any:
    with torch.no_grad():
        found = exported.reference.model.get_image_features(torch.from_numpy(pixels), torch.from_numpy(mask).long())
    states = getattr(found, "pooler_output", found)
    return (torch.cat(list(states)) if not isinstance(states, torch.Tensor) else states).numpy().reshape(-1, 4, 64)


@pytest.mark.parametrize(
    ("precision", "worst"), [("fp32", 1e-3), ("fp16", 0.05), ("int8", 0.5), ("int4", 3.0), ("int4f16", 3.0)]
)
def test_features_equal_pytorch(exported: Exported, precision: str, worst: float) -> None:
    """Two pictures of different size: the second fills up with two tiles that give no rows."""
    pixels = np.random.default_rng(1).standard_normal((2, 5, 3, 64, 64)).astype(np.float32)
    pixels[1, 3:] = 0
    mask = np.ones((2, 5, 64, 64), np.bool_)
    mask[1, 3:] = False
    feeds = {"pixel_values": pixels, "pixel_attention_mask": mask}
    actual = exported.session("vision_encoder", precision).run(feeds)["image_features"]
    expected = reference_features(exported, pixels, mask)
    assert actual.shape == expected.shape == (8, 4, 64) and actual.dtype == np.float32
    assert np.abs(actual - expected).max() <= worst
    assert cosine(actual, expected) >= (0.9999 if precision in ("fp32", "fp16") else 0.98)


def inputs_of(engine: OnnxEngine, prompt: Prompt) -> dict[str, Any]:
    """What transformers takes for the same prompt."""
    ids = engine._prompts.write(prompt, engine._grid(prompt))
    found: dict[str, Any] = {"input_ids": torch.tensor([[*ids.beginning, *ids.rest]])}
    found["attention_mask"] = torch.ones_like(found["input_ids"])
    if prompt.picture is not None:
        encoder = engine._seeing()
        values = encoder.preprocessor.normalise(encoder.prepare(prompt.picture).pixels)
        found["pixel_values"] = torch.from_numpy(values)[None]
        found["pixel_attention_mask"] = torch.ones((1, len(values), 64, 64), dtype=torch.long)
    return found


@pytest.mark.parametrize(
    ("prompt", "tiles"),
    [
        (Prompt(QUESTION, noise(150, 200)), 1),
        (Prompt(QUESTION, noise(150, 200)), 0),
        (Prompt(QUESTION, noise(300, 90)), 0),
        (Prompt("And now?", noise(70, 64), (Exchange(QUESTION, "A dog."),)), 0),
        (Prompt("Hello?"), 0),
    ],
)
def test_thirty_greedy_tokens_equal_pytorch(exported: Exported, prompt: Prompt, tiles: int) -> None:
    engine = exported.engine("fp32", max_new_tokens=30, max_tiles=tiles)
    inputs = inputs_of(engine, prompt)
    with torch.no_grad():
        generated = exported.reference.generate(**inputs, max_new_tokens=30, do_sample=False)[0]
    expected = generated[inputs["input_ids"].shape[1] :].tolist()
    assert greedy(engine, prompt) == [token for token in expected if token != 2]


@pytest.mark.parametrize("precision", ["fp16", "int8", "int4", "int4f16"])
def test_every_precision_answers(exported: Exported, precision: str) -> None:
    """The engine drives each of them, half-precision keys and values included."""
    engine = exported.engine(precision, max_new_tokens=8)
    assert len(greedy(engine, Prompt(QUESTION, noise(100, 100)))) > 0


def test_the_prompt_is_that_of_the_processor(exported: Exported) -> None:
    """Text and tiles as transformers' processor expands them, spelled out."""
    engine = exported.engine("fp32", max_tiles=0)
    ids = engine._prompts.write(Prompt(QUESTION, noise(40, 200)), engine._grid(Prompt(QUESTION, noise(40, 200))))
    image, around = "<image>" * 4, "<fake_token_around_image>"
    row = "".join(f"{around}<row_1_col_{column}>{image}" for column in range(1, 5))
    expected = f"<|im_start|>User:{row}\n\n{around}<global-img>{image}{around}{QUESTION}<end_of_utterance>\nAssistant:"
    assert engine._tokenizer.decode([*ids.beginning, *ids.rest]) == expected
    assert engine._tokenizer.template_ids(expected) == [*ids.beginning, *ids.rest]


@pytest.mark.parametrize("splits", [True, False])
@pytest.mark.parametrize("size", [(150, 200), (200, 150), (64, 64), (30, 300), (333, 111), (400, 401), (10, 10)])
def test_pixels_equal_the_processors(exported: Exported, size: tuple[int, int], splits: bool) -> None:
    from PIL import Image
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    settings = json.loads((exported.checkpoint / "preprocessor_config.json").read_text())
    wanted = {name: settings[name] for name in ("size", "max_image_size", "image_mean", "image_std", "resample")}
    processor = SmolVLMImageProcessorPil(do_image_splitting=splits, **wanted)
    frame = noise(*size)
    expected = processor(images=[[Image.fromarray(frame.pixels)]], return_tensors="np", return_row_col_info=True)
    preprocessor = exported.engine("fp32", max_tiles=0 if splits else 1)._seeing().preprocessor
    actual = preprocessor.normalise(preprocessor.resize(frame))
    assert np.abs(actual - expected["pixel_values"][0]).max() <= 1 / 255
    grid = preprocessor.grid(frame)
    assert (grid.rows, grid.columns) == (expected["rows"][0][0], expected["cols"][0][0])


def test_a_tied_head_shares_the_table_and_another_does_not(exported: Exported) -> None:
    tied = exported.reference.config.tie_word_embeddings
    graph = exported.bundle.path("decoder_model_merged", "").read_bytes()
    assert (b"embed_tokens.onnx_data" in graph) == tied


def test_only_what_is_to_be_read_is_looked_at_in_tiles(exported: Exported) -> None:
    engine = exported.engine("fp32", tiles=1)
    frame = noise(200, 150)
    assert engine._grid(Prompt(QUESTION, frame)).tiles == 1
    assert engine._grid(Prompt("What does the sign say?", frame)).tiles > 4
    engine.look(frame)
    list(engine.stream(Prompt(QUESTION, frame), CancelScope()))
    assert engine.look(frame).cached, "the question took what was seen ahead of it"
    assert len(engine.log_probabilities(Prompt("What does the sign say?", frame), ["EXIT", "No"])) == 2
