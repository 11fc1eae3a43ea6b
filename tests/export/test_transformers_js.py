"""Bundles in transformers.js: the same tokens as ours out of the same files, and its own processor's prompts.

Its pixels are not compared: it scales pictures by a bilinear filter where Python's processor, and ours with it, uses
Lanczos.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

pytest.importorskip("transformers")

import make_smolvlm
import tiny_checkpoints
from exported import Exported, export, greedy, noise

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.cache import cache_folder
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

SOURCES = Path(__file__).parent / "transformers_js"
QUESTIONS = ("What is in this picture?", "How many?", "Is it a dog?")
TOKENS = 20
DTYPES = {"fp32": "fp32", "fp16": "fp16", "int8": "q8", "int4": "q4"}
_UNREACHABLE = r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|E40[137]"


def _node() -> tuple[str, str]:
    """node and npm, or the test is skipped."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs Node 20 and npm, which are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        pytest.skip(f"needs Node 20, this is {version}")
    return node, npm


def _installed(npm: str) -> Path:
    """The folder of the packages in the lock file (0.5 GB), installed once beside the other caches."""
    lock = SOURCES / "package-lock.json"
    home = cache_folder() / "node" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        if not home.exists():
            partial = home.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            for name in ("package.json", lock.name):
                shutil.copy(SOURCES / name, partial)
            # The processors' libraries come with the packages; scripts would only fetch those of GPUs.
            command = [npm, "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--fetch-retries=1"]
            done = subprocess.run(command, cwd=partial, capture_output=True, text=True)
            if done.returncode and re.search(_UNREACHABLE, done.stderr):
                pytest.skip("npm cannot reach a registry")
            assert done.returncode == 0, done.stderr
            partial.rename(home)
    return home / "node_modules"


@dataclass(frozen=True)
class TransformersJs:
    """A folder with greedy.mjs and its packages, in which requests are written."""

    node: str
    folder: Path

    def answers(self, bundle: Path, prompts: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
        request = self.folder / "request.json"
        request.write_text(json.dumps({"new_tokens": TOKENS, "prompts": prompts, **options}))
        command = [self.node, "greedy.mjs", str(bundle), str(request)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    def file(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return str(self.folder / name)


@pytest.fixture(scope="module")
def transformers_js(tmp_path_factory: pytest.TempPathFactory) -> TransformersJs:
    node, npm = _node()
    modules = _installed(npm)
    folder = tmp_path_factory.mktemp("transformers_js")
    shutil.copy(SOURCES / "greedy.mjs", folder)
    (folder / "node_modules").symlink_to(modules, target_is_directory=True)
    return TransformersJs(node, folder)


@pytest.fixture(scope="module")
def smolvlm(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("smolvlm"), tiny_checkpoints.smolvlm)


def prompt_ids(engine: OnnxEngine, prompt: Prompt) -> list[int]:
    ids = engine._prompts.write(prompt, engine._grid(prompt))
    return [*ids.beginning, *ids.rest]


def given(engine: OnnxEngine, prompt: Prompt, transformers_js: TransformersJs) -> dict[str, Any]:
    """What `engine` feeds for `prompt`."""
    inputs: dict[str, Any] = {"input_ids": prompt_ids(engine, prompt)}
    if prompt.picture is not None:
        encoder = engine._seeing()
        pixels = encoder.preprocessor.normalise(encoder.prepare(prompt.picture).pixels)
        shape = (1, *pixels.shape) if encoder.preprocessor.longest_edge else pixels.shape
        name = f"{hashlib.sha256(pixels.tobytes()).hexdigest()}.f32"
        inputs |= {"pixel_shape": shape, "pixel_values": transformers_js.file(name, pixels.tobytes())}
    return inputs


def without_end(ids: list[int], bundle: ModelBundle) -> list[int]:
    return [one for one in ids if one not in bundle.prompt.stop_ids]


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
    """For a browser, where no session reads another's data; the image encoder in fp32."""
    write(folder / "checkpoint")
    model = read_model(open_folder(folder / "checkpoint"))
    (folder / "bundle").mkdir()
    plan = Plan(decoder=(PRECISIONS["int8"],), share_table=False)
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
