"""A bundle for browsers in a browser: transformers.js on a page in Chromium, without a GPU and with one in software."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("transformers")
pytest.importorskip("playwright")

import tiny_checkpoints
from exported import greedy, noise
from transformers_js_box import TOKENS, OnPage, given, without_end

from lorgnette.export.architectures.registry import read_model
from lorgnette.export.assembly import assemble
from lorgnette.export.checkpoint.folder import open_folder
from lorgnette.export.precision import PRECISIONS
from lorgnette.export.profile import read_profile
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.torch,
    pytest.mark.node,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]

PROFILES = {"wasm": "browser", "webgpu": "webgpu"}
QUESTIONS = ("What is in this picture?", "How many?")


@pytest.fixture(scope="module", params=["wasm", "webgpu"])
def device(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def bundle(device: str, tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """As the profile for `device` has it, and beside it in fp32 and int4."""
    folder = tmp_path_factory.mktemp("browser")
    tiny_checkpoints.smolvlm(folder / "checkpoint")
    (folder / "bundle").mkdir()
    plan, fp32 = read_profile(PROFILES[device]).plan(), PRECISIONS["fp32"]
    plan = replace(plan, decoder=(*plan.decoder, fp32, PRECISIONS["int4"]), vision=(*plan.vision, fp32))
    return assemble(read_model(open_folder(folder / "checkpoint")), folder / "bundle", plan, "test", "test")


@pytest.fixture(scope="module")
def page(device: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPage]:
    assert CHROMIUM is not None
    with OnPage(CHROMIUM, tmp_path_factory.mktemp("files"), device) as page:
        if device == "webgpu" and not page.gpu_features():
            pytest.skip("this Chromium has no WebGPU, not even in software")
        yield page


def test_the_same_inputs_give_the_same_tokens(page: OnPage, bundle: ModelBundle) -> None:
    """In fp32, a picture whole and in tiles, and none."""
    exact = replace(bundle, default_suffix=dict.fromkeys(bundle.default_suffix, ""))
    pictured = [(tiles, Prompt(question, noise(150, 200))) for question in QUESTIONS for tiles in (1, 0)]
    prompts, expected = [], []
    for tiles, prompt in [*pictured, (0, Prompt("Hello?"))]:
        engine = OnnxEngine(exact, EngineSettings(max_new_tokens=TOKENS, max_tiles=tiles))
        prompts.append(given(engine, prompt, page))
        expected.append(greedy(engine, prompt))
    answers = page.answers(bundle.folder, prompts, dtype="fp32")
    assert [without_end(answer["token_ids"], bundle) for answer in answers] == expected
    assert max(map(len, expected)) == TOKENS and sum(map(len, expected)) > 2 * TOKENS


def test_the_profiles_precisions_run(page: OnPage, device: str, bundle: ModelBundle) -> None:
    """config.json says which. A browser's products are of floats where ours are of 8 bits, so tokens may differ.

    A GPU in software computes nothing in half precision: there, the operators of 4 bits are tried in single.
    """
    whole = device == "wasm" or "shader-f16" in page.gpu_features()
    options = {} if whole else {"dtype": {"vision_encoder": "fp32", "embed_tokens": "q4", "decoder_model_merged": "q4"}}
    exact = replace(bundle, default_suffix=dict.fromkeys(bundle.default_suffix, ""))
    engine = OnnxEngine(exact, EngineSettings(max_new_tokens=TOKENS, max_tiles=1))
    prompt = given(engine, Prompt(QUESTIONS[0], noise(150, 200)), page)
    (answer,) = page.answers(bundle.folder, [prompt], **options)
    assert len(answer["token_ids"]) > 1
