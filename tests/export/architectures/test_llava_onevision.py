"""LLaVA-OneVision at its smallest against transformers, whose own packing of a picture that is one view is the
reference: features, tokens, pixels, in every precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

import tiny_checkpoints
import torch
from exported import Exported, cosine, export, greedy, noise
from tiny_checkpoints import LLAVA_SIDE as SIDE

from lorgnette.export.architectures.registry import read_model
from lorgnette.export.checkpoint.folder import open_folder
from lorgnette.export.llama import WeightsFormatError
from lorgnette.llm.engine import Exchange, Prompt
from lorgnette.llm.onnx_engine import OnnxEngine

pytestmark = pytest.mark.torch
QUESTION = "What is in this picture?"
TOKENS = 4 * 4 + 1
KINDS: dict[str, dict[str, Any]] = {
    "last layer": {},
    "layer before, tied, no biases": {
        "vision_feature_layer": -2,
        "multimodal_projector_bias": False,
        "projector_hidden_act": "gelu_pytorch_tanh",
        "tie_word_embeddings": True,
    },
}


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("llava"), tiny_checkpoints.llava_onevision, **KINDS[request.param])


# Pictures of which a prompt has several are one view each: that is what a count of more than one says.
SEVERAL = torch.tensor([2])


def reference_features(exported: Exported, pixels: Any) -> Any:
    sizes = torch.tensor([[SIDE, SIDE]] * len(pixels))
    with torch.no_grad():
        found = exported.reference.model.get_image_features(
            torch.from_numpy(pixels), sizes, batch_num_images=torch.tensor([len(pixels)])
        )
    return torch.stack(list(found.pooler_output)).numpy()


@pytest.mark.parametrize(
    ("precision", "worst"), [("fp32", 1e-3), ("fp16", 0.05), ("int8", 1.0), ("int4", 5.0), ("int4f16", 5.0)]
)
def test_features_equal_pytorch(exported: Exported, precision: str, worst: float) -> None:
    pixels = np.random.default_rng(1).standard_normal((2, 3, SIDE, SIDE)).astype(np.float32)
    actual = exported.session("vision_encoder", precision).run({"pixel_values": pixels})["image_features"]
    expected = reference_features(exported, pixels)
    assert actual.shape == expected.shape == (2, TOKENS, 64) and actual.dtype == np.float32
    assert np.abs(actual - expected).max() <= worst
    assert cosine(actual, expected) >= (0.9999 if precision in ("fp32", "fp16") else 0.98)


def test_rows_are_those_of_tower_and_projector_and_a_newline(exported: Exported) -> None:
    """The same from the reference's parts, without its packing."""
    pixels = np.random.default_rng(2).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)
    actual = exported.session("vision_encoder", "fp32").run({"pixel_values": pixels})["image_features"][0]
    model = exported.reference.model
    with torch.no_grad():
        states = model.vision_tower(torch.from_numpy(pixels), output_hidden_states=True).hidden_states
        rows = model.multi_modal_projector(states[model.config.vision_feature_layer])[0]
    assert np.abs(actual[:-1] - rows.numpy()).max() <= 1e-3
    assert np.array_equal(actual[-1], model.image_newline.detach().numpy())


def inputs_of(engine: OnnxEngine, prompt: Prompt) -> dict[str, Any]:
    ids = engine._prompts.write(prompt, engine._grid(prompt))
    found: dict[str, Any] = {"input_ids": torch.tensor([[*ids.beginning, *ids.rest]])}
    found["attention_mask"] = torch.ones_like(found["input_ids"])
    if prompt.picture is not None:
        encoder = engine._seeing()
        values = encoder.preprocessor.normalise(encoder.prepare(prompt.picture).pixels)
        found |= {"pixel_values": torch.from_numpy(values), "batch_num_images": SEVERAL}
        found["image_sizes"] = torch.tensor([prompt.picture.pixels.shape[:2]])
    return found


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(QUESTION, noise(150, 200)),
        Prompt(QUESTION, noise(30, 20)),
        Prompt("And now?", noise(70, 64), (Exchange(QUESTION, "A dog."),)),
        Prompt("Hello?"),
    ],
)
def test_thirty_greedy_tokens_equal_pytorch(exported: Exported, prompt: Prompt) -> None:
    engine = exported.engine("fp32", max_new_tokens=30)
    inputs = inputs_of(engine, prompt)
    with torch.no_grad():
        generated = exported.reference.generate(**inputs, max_new_tokens=30, do_sample=False)[0]
    expected = generated[inputs["input_ids"].shape[1] :].tolist()
    assert greedy(engine, prompt) == [token for token in expected if token != 2]


@pytest.mark.parametrize("precision", ["fp16", "int8", "int4", "int4f16"])
def test_every_precision_answers(exported: Exported, precision: str) -> None:
    assert len(greedy(exported.engine(precision, max_new_tokens=8), Prompt(QUESTION, noise(100, 100)))) > 0


def test_the_prompt_is_that_of_the_chat_template(exported: Exported) -> None:
    engine = exported.engine("fp32")
    ids = engine._prompts.write(Prompt("And now?", noise(40, 200), (Exchange(QUESTION, "A dog."),)))
    expected = (
        f"<|im_start|>user {'<image>' * TOKENS}\n{QUESTION}<|im_end|><|im_start|>assistant\nA dog.<|im_end|>"
        "<|im_start|>user \nAnd now?<|im_end|><|im_start|>assistant\n"
    )
    assert engine._tokenizer.decode([*ids.beginning, *ids.rest]) == expected


@pytest.mark.parametrize("size", [(150, 200), (200, 150), (60, 60), (30, 300), (333, 111), (10, 10)])
def test_pixels_equal_those_of_the_base_view(exported: Exported, size: tuple[int, int]) -> None:
    from PIL import Image
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

    settings = json.loads((exported.checkpoint / "preprocessor_config.json").read_text())
    wanted = {name: settings[name] for name in ("size", "image_mean", "image_std", "resample", "image_grid_pinpoints")}
    frame = noise(*size)
    expected = LlavaOnevisionImageProcessorPil(**wanted)(images=[Image.fromarray(frame.pixels)], return_tensors="np")
    preprocessor = exported.engine("fp32")._seeing().preprocessor
    actual = preprocessor.normalise(preprocessor.resize(frame))
    assert actual.shape == (1, 3, SIDE, SIDE)
    assert np.abs(actual[0] - expected["pixel_values"][0][0]).max() <= 1 / 255


def rewritten(folder: Path, **changes: Any) -> Any:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    return read_model(open_folder(folder))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"vision_feature_layer": [-1, -2]}, r"vision_feature_layer \[-1, -2\]"),
        ({"vision_feature_layer": -4}, "vision_feature_layer -4"),
        ({"vision_feature_select_strategy": "default"}, "features by 'default'"),
        ({"projector_hidden_act": "silu"}, "a projector of 'silu'"),
        ({"image_token_index": 99_999}, "no token 99999"),
        ({"text_config": {"model_type": "llama"}}, "a llama in LLaVA-OneVision"),
    ],
)
def test_what_is_another_graph_is_refused(changes: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    tiny_checkpoints.llava_onevision(tmp_path)
    with pytest.raises(WeightsFormatError, match=complaint):
        rewritten(tmp_path, **changes)


@pytest.mark.parametrize("naming", ["hub", "nested"])
def test_tensors_are_found_under_the_names_of_every_version(naming: str, tmp_path: Path) -> None:
    """As in the repository on the hub, and as transformers has them in memory."""
    from safetensors.numpy import load_file, save_file

    one, other = tmp_path / "one", tmp_path / "other"
    tiny_checkpoints.llava_onevision(one)
    shutil.copytree(one, other)
    renamed = {}
    for name, array in load_file(one / "model.safetensors").items():
        if naming == "hub":
            renamed[name.replace("vision_tower.", "vision_tower.vision_model.")] = array
        elif name.startswith("language_model.lm_head"):
            renamed[name.removeprefix("language_model.")] = array
        else:
            renamed["model." + name.replace("language_model.model.", "language_model.")] = array
    save_file(renamed, other / "model.safetensors")
    found = [read_model(open_folder(folder)) for folder in (one, other)]
    for mine, theirs in (
        [model.language.tensors for model in found],
        [model.vision.tensors for model in found],  # type: ignore[union-attr]
    ):
        assert list(mine) == list(theirs) and all(np.array_equal(mine[name], theirs[name]) for name in mine)
