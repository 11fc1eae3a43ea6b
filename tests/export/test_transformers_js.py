"""Bundles in transformers.js: the same tokens as ours out of the same files, and its own processor's prompts.

Its pixels are not compared: it scales pictures by a bilinear filter where Python's processor, and ours with it, uses
Lanczos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

import make_smolvlm
import tiny_checkpoints
from exported import Exported, export, greedy, noise
from transformers_js_box import TOKENS, InNode, TransformersJs, given, prompt_ids, without_end

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.device.picture import load_picture
from lorgnette.export.architectures.registry import read_model
from lorgnette.export.assembly import Plan, assemble
from lorgnette.export.checkpoint.folder import open_folder
from lorgnette.export.precision import PRECISIONS
from lorgnette.export.verification.cases import PHOTOS
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine

pytestmark = [pytest.mark.torch, pytest.mark.node]

QUESTIONS = ("What is in this picture?", "How many?", "Is it a dog?")
DTYPES = {"fp32": "fp32", "fp16": "fp16", "int8": "q8", "int4": "q4"}


@pytest.fixture(scope="module")
def transformers_js(tmp_path_factory: pytest.TempPathFactory) -> TransformersJs:
    return InNode(tmp_path_factory.mktemp("transformers_js"))


@pytest.fixture(scope="module")
def smolvlm(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("smolvlm"), tiny_checkpoints.smolvlm)


@pytest.mark.parametrize("precision", DTYPES)
def test_the_same_inputs_give_the_same_tokens(
    smolvlm: Exported, transformers_js: TransformersJs, precision: str
) -> None:
    """A picture whole, in tiles, and none."""
    pictured = [(tiles, Prompt(question, noise(150, 200))) for question in QUESTIONS for tiles in (1, 0)]
    prompts, expected = [], []
    for tiles, prompt in [*pictured, (0, Prompt("Hello?"))]:
        engine = smolvlm.engine(precision, max_new_tokens=TOKENS, max_tiles=tiles)
        prompts.append(given(engine, prompt, transformers_js))
        expected.append(greedy(engine, prompt))
    answers = transformers_js.answers(smolvlm.bundle.folder, prompts, dtype=DTYPES[precision])
    assert [without_end(answer["token_ids"], smolvlm.bundle) for answer in answers] == expected
    assert max(map(len, expected)) == TOKENS and sum(map(len, expected)) > 3 * TOKENS


def test_its_processor_writes_our_prompts(smolvlm: Exported, transformers_js: TransformersJs) -> None:
    """By the chat template and the settings in the bundle: the same ids and as many tiles, at each size and without a
    picture. No precision is asked for: config.json says one."""
    prompts, expected = [], []
    for size in ((150, 200), (200, 150), (64, 64), (300, 90), (40, 200), (333, 111), (10, 10)):
        for split in (True, False):
            engine = smolvlm.engine("fp32", max_tiles=0 if split else 1)
            frame = noise(*size)
            rgb = transformers_js.file(f"{size}.rgb", frame.pixels.tobytes())
            prompts.append({"question": QUESTIONS[0], "rgb": rgb, "height": size[0], "width": size[1], "split": split})
            tiles = len(engine._seeing().prepare(frame).pixels)
            expected.append((prompt_ids(engine, Prompt(QUESTIONS[0], frame)), [1, tiles, 3, 64, 64]))
    prompts.append({"question": "Hello?"})
    expected.append((prompt_ids(smolvlm.engine("fp32"), Prompt("Hello?")), None))
    answers = transformers_js.answers(smolvlm.bundle.folder, prompts, new_tokens=1)
    assert [(answer["prompt_ids"], answer["pixel_shape"]) for answer in answers] == expected


def exported_in_8_bits(folder: Path, write: Callable[[Path], Any]) -> ModelBundle:
    """For a browser: no session reads another's data, matrices are rounded by rows. The image encoder is in fp32."""
    write(folder / "checkpoint")
    model = read_model(open_folder(folder / "checkpoint"))
    (folder / "bundle").mkdir()
    plan = Plan(decoder=(PRECISIONS["int8"],), share_table=False, rowwise=True)
    assemble(model, folder / "bundle", plan, "test", "test")
    return ModelBundle.open(folder / "bundle")


def test_llava_onevision_takes_the_whole_picture(transformers_js: TransformersJs, tmp_path: Path) -> None:
    """transformers.js has no processor for it that writes prompts, so its inputs are given. config.json says which
    precision each session is in."""
    bundle = exported_in_8_bits(tmp_path, tiny_checkpoints.llava_onevision)
    engine = OnnxEngine(bundle, EngineSettings(max_new_tokens=TOKENS))
    prompts = [Prompt(question, noise(150, 200)) for question in QUESTIONS]
    answers = transformers_js.answers(bundle.folder, [given(engine, prompt, transformers_js) for prompt in prompts])
    expected = [greedy(engine, prompt) for prompt in prompts]
    assert [without_end(answer["token_ids"], bundle) for answer in answers] == expected
    assert max(map(len, expected)) == TOKENS


def test_a_model_of_text_alone_is_one_session(transformers_js: TransformersJs, tmp_path: Path) -> None:
    bundle = exported_in_8_bits(tmp_path, tiny_checkpoints.causal)
    engine = OnnxEngine(bundle, EngineSettings(max_new_tokens=TOKENS))
    prompts = [Prompt(question) for question in QUESTIONS]
    answers = transformers_js.answers(bundle.folder, [{"question": prompt.question} for prompt in prompts])
    assert [answer["prompt_ids"] for answer in answers] == [prompt_ids(engine, prompt) for prompt in prompts]
    expected = [greedy(engine, prompt) for prompt in prompts]
    assert [without_end(answer["token_ids"], bundle) for answer in answers] == expected
    assert max(map(len, expected)) == TOKENS


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """SmolVLM-256M's true shapes; the text tower's weights are real."""
    folder = tmp_path_factory.mktemp("full_size")
    gguf = WeightStore.from_config(load_config()).path("smollm2-135m-instruct")
    make_smolvlm.write(folder / "checkpoint", gguf)
    model = read_model(open_folder(folder / "checkpoint"))
    parts = {name: PRECISIONS[name] for name in ("int8", "int4", "fp32")}
    (folder / "bundle").mkdir()
    plan = Plan(decoder=tuple(parts.values()), vision=(parts["int8"], parts["fp32"]))
    return Exported(None, folder / "checkpoint", assemble(model, folder / "bundle", plan, "test", "test"))


@pytest.mark.weights
@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_at_its_true_size(full_size: Exported, transformers_js: TransformersJs, precision: str) -> None:
    """A photograph whole and in five tiles; the image encoder of a 4-bit decoder is in 8 bits."""
    seen = "fp32" if precision == "fp32" else "int8"
    suffixes = dict.fromkeys(full_size.bundle.default_suffix, PRECISIONS[precision].suffix)
    suffixes["vision_encoder"] = PRECISIONS[seen].suffix
    chosen = replace(full_size.bundle, default_suffix=suffixes)
    prompt = Prompt(QUESTIONS[0], load_picture(PHOTOS / "cat.jpg"))
    prompts, expected = [], []
    for tiles in (1, 5):
        engine = OnnxEngine(chosen, EngineSettings(max_new_tokens=TOKENS, max_tiles=tiles))
        prompts.append(given(engine, prompt, transformers_js))
        expected.append(greedy(engine, prompt))
    dtype = dict.fromkeys(("embed_tokens", "decoder_model_merged"), DTYPES[precision]) | {
        "vision_encoder": DTYPES[seen]
    }
    answers = transformers_js.answers(full_size.bundle.folder, prompts, dtype=dtype)
    actual = [without_end(answer["token_ids"], full_size.bundle) for answer in answers]
    # Ours stops an answer that goes round in circles, as that of a random image tower may.
    assert [tokens[: len(ours)] for tokens, ours in zip(actual, expected, strict=True)] == expected
    assert min(map(len, expected)) > 10
