"""nanoVLM's four generations at their smallest against a PyTorch model of the published source (tiny_nanovlm.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

import nanovlm_pictures
import tiny_nanovlm
import torch
from exported import Exported, cosine, export, greedy, noise
from PIL import Image
from safetensors import safe_open
from tiny_nanovlm import EXTRA, SIDE

from lorgnette.export.architectures.registry import read_model
from lorgnette.export.checkpoint.folder import open_folder
from lorgnette.export.llama import WeightsFormatError
from lorgnette.llm.engine import Exchange, Prompt
from lorgnette.llm.onnx_engine import OnnxEngine

pytestmark = pytest.mark.torch
QUESTION = "What is in this picture?"
TOKENS = 4
PROMPTS = [
    Prompt(QUESTION, noise(150, 100)),
    Prompt(QUESTION, noise(60, 50)),
    Prompt(QUESTION, noise(40, 180)),
    Prompt("And now?", noise(70, 64), (Exchange(QUESTION, "A dog."),)),
    Prompt("Hello?"),
]


@pytest.fixture(scope="module", params=EXTRA)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("nanovlm")
    return export(folder, tiny_nanovlm.nanovlm, generation=request.param, tied=request.param != "token")


def generation(exported: Exported) -> str:
    extra = exported.reference.config.get("vlm_extra_tokens", {})
    return next(name for name, one in EXTRA.items() if one == extra)


@pytest.mark.parametrize(
    ("precision", "worst"), [("fp32", 1e-3), ("fp16", 0.05), ("int8", 1.0), ("int4", 5.0), ("int4f16", 5.0)]
)
def test_features_equal_pytorch(exported: Exported, precision: str, worst: float) -> None:
    pixels = np.random.default_rng(1).random((1, 3, 3, SIDE, SIDE), np.float32)
    feeds = {"pixel_values": pixels, "pixel_attention_mask": np.ones((1, 3, SIDE, SIDE), np.bool_)}
    actual = exported.session("vision_encoder", precision).run(feeds)["image_features"]
    with torch.no_grad():
        expected = exported.reference.features(torch.from_numpy(pixels[0])).numpy()
    assert actual.shape == expected.shape == (3, TOKENS, 64)
    assert np.abs(actual - expected).max() <= worst
    assert cosine(actual, expected) >= (0.9999 if precision in ("fp32", "fp16") else 0.98)


def inputs_of(engine: OnnxEngine, prompt: Prompt, image_id: int | None) -> tuple[list[int], Any]:
    """What the reference takes for the same prompt; without a token for the picture, its places are left out."""
    ids = engine._prompts.write(prompt, engine._grid(prompt))
    if prompt.picture is None:
        return list(ids.rest), None
    encoder = engine._seeing()
    values = encoder.preprocessor.normalise(encoder.prepare(prompt.picture).pixels)
    beginning = ids.beginning if image_id is not None else ids.beginning[TOKENS:]
    return [*beginning, *ids.rest], torch.from_numpy(values)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_thirty_greedy_tokens_equal_pytorch(exported: Exported, prompt: Prompt) -> None:
    engine = exported.engine("fp32", max_new_tokens=30)
    ids, pixels = inputs_of(engine, prompt, exported.reference.image_id)
    expected = exported.reference.greedy(ids, pixels, 30)
    stop = exported.bundle.prompt.stop_ids[0]
    found = greedy(engine, prompt)
    assert found == (expected[: expected.index(stop)] if stop in expected else expected)[: len(found)]
    assert len(found) == 30 or stop in expected or len(set(found[-8:])) < 8  # the engine ends what loops


@pytest.mark.parametrize("precision", ["fp16", "int8", "int4", "int4f16"])
def test_every_precision_answers(exported: Exported, precision: str) -> None:
    engine = exported.engine(precision, max_new_tokens=8)
    assert len(greedy(engine, Prompt(QUESTION, noise(100, 100)))) > 0


@pytest.mark.parametrize("size", [(150, 100), (60, 50), (40, 180)])
def test_the_prompt_is_that_of_the_source(exported: Exported, size: tuple[int, int]) -> None:
    engine, kind = exported.engine("fp32"), generation(exported)
    ids, _ = inputs_of(engine, Prompt(QUESTION, noise(*size)), exported.reference.image_id)
    if kind == "before":
        expected = f"Question: {QUESTION} Answer:"
    else:
        _, grid = nanovlm_pictures.tiles(nanovlm_pictures.resized(Image.fromarray(noise(*size).pixels)))
        image = nanovlm_pictures.words(kind, grid if kind == "whole" else (1, 1), TOKENS)
        expected = f"<|im_start|>user\n{image}{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    assert engine._tokenizer.decode(ids) == expected


@pytest.mark.parametrize(
    "size", [(150, 200), (200, 150), (64, 64), (30, 300), (333, 111), (400, 401), (10, 10), (64, 65)]
)
def test_pixels_equal_the_sources(exported: Exported, size: tuple[int, int]) -> None:
    frame, kind = noise(*size), generation(exported)
    picture = Image.fromarray(frame.pixels)
    if kind == "whole":
        expected, grid = nanovlm_pictures.tiles(nanovlm_pictures.resized(picture))
    else:
        filter_ = Image.Resampling.BICUBIC if kind == "rows" else Image.Resampling.BILINEAR
        expected, grid = nanovlm_pictures.tiles(picture.resize((SIDE, SIDE), filter_))
    preprocessor = exported.engine("fp32")._seeing().preprocessor
    actual = preprocessor.normalise(preprocessor.resize(frame))
    assert actual.shape == expected.shape
    assert np.abs(actual - expected.numpy()).max() <= 1 / 255 + 1e-6
    assert (preprocessor.grid(frame).rows, preprocessor.grid(frame).columns) == (grid if grid != (1, 1) else (0, 0))


@pytest.mark.parametrize("size", [(150, 200), (30, 40), (64, 64)])
def test_small_pictures_are_enlarged_where_the_model_was_trained_so(size: tuple[int, int], tmp_path: Path) -> None:
    found = export(tmp_path, tiny_nanovlm.nanovlm, resize_to_max_side_len=True)
    frame = noise(*size)
    expected, _ = nanovlm_pictures.tiles(nanovlm_pictures.resized(Image.fromarray(frame.pixels), enlarge=True))
    preprocessor = found.engine("fp32")._seeing().preprocessor
    assert np.abs(preprocessor.normalise(preprocessor.resize(frame)) - expected.numpy()).max() <= 1 / 255 + 1e-6


def test_a_bound_on_tiles_makes_the_grid_smaller(exported: Exported) -> None:
    grids = [
        exported.engine("fp32", max_tiles=bound)._seeing().preprocessor.grid(noise(190, 190)).tiles
        for bound in (0, 9, 5, 4, 1)
    ]
    assert grids == ([10, 5, 5, 1, 1] if generation(exported) == "whole" else [1] * 5)


def test_a_tied_table_is_found_under_the_heads_name(exported: Exported) -> None:
    """As safetensors saves a tensor that has two names."""
    with safe_open(exported.checkpoint / "model.safetensors", "np") as file:
        tied = "decoder.token_embedding.weight" not in file.keys()  # noqa: SIM118 - it is no mapping
    assert tied == exported.reference.config["lm_tie_weights"]
    graph = exported.bundle.path("decoder_model_merged", "").read_bytes()
    assert (b"embed_tokens.onnx_data" in graph) == tied


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"vit_cls_flag": True}, "vit_cls_flag"),
        ({"lm_attn_scaling": 0.5}, "lm_attn_scaling"),
        ({"mp_pixel_shuffle_factor": 3}, "4 cells do not fold"),
        ({"mp_image_token_length": 9}, "must be 4"),
        ({"max_img_size": 100}, "max_img_size 100"),
        ({"max_img_size": 640}, "max_img_size 640"),
        ({"vit_n_blocks": 3}, "lacks the tensor vision_encoder.blocks.2"),
        ({"lm_inter_dim": 95}, "config.json says"),
        ({"vit_hidden_dim": 40}, "config.json says"),
        ({"lm_re_base": None}, "lm_re_base"),
    ],
)
def test_what_is_not_as_published_is_refused(changes: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    tiny_nanovlm.nanovlm(tmp_path, **{name: value for name, value in changes.items() if name == "max_img_size"})
    config = json.loads((tmp_path / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps({name: one for name, one in config.items() if one is not None}))
    with pytest.raises(WeightsFormatError, match=complaint):
        read_model(open_folder(tmp_path))


def test_the_tokenizer_must_be_there_with_its_extra_tokens(tmp_path: Path) -> None:
    tiny_nanovlm.nanovlm(tmp_path)
    tiny_nanovlm.write_tokenizer(tmp_path, ("<|endoftext|>", "<|im_start|>", "<|im_end|>", tiny_nanovlm.IMAGE))
    for complaint in (r"lacks <\|global_image\|>", "has no tokenizer.json"):
        with pytest.raises(WeightsFormatError, match=complaint) as refusal:
            read_model(open_folder(tmp_path))
        assert "an/other-repository" in refusal.value.hint and "\n" not in str(refusal.value)
        (tmp_path / "tokenizer.json").unlink(missing_ok=True)
