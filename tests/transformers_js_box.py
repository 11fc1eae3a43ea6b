"""transformers.js as a client of bundles: in Node, and on a page in Chromium."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from contextlib import ExitStack, closing
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock
from loopback import serving

from lorgnette.assistant.weights.cache import cache_folder
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import OnnxEngine

SOURCES = Path(__file__).parent / "export" / "transformers_js"
TOKENS = 20
_UNREACHABLE = r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|E40[137]"
# A GPU in software, where the machine has none.
_FLAGS = ("--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-unsafe-swiftshader")


def node_and_npm() -> tuple[str, str]:
    """Both programs, or the test is skipped."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs Node 20 and npm, which are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        pytest.skip(f"needs Node 20, this is {version}")
    return node, npm


def installed_modules(npm: str) -> Path:
    """The folder of the packages in the lock file (0.5 GB), installed once beside the other caches."""
    lock = SOURCES / "package-lock.json"
    home = cache_folder() / "node" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        if not home.exists():
            partial_home = home.with_suffix(".partial")
            shutil.rmtree(partial_home, ignore_errors=True)
            partial_home.mkdir()
            for name in ("package.json", lock.name):
                shutil.copy(SOURCES / name, partial_home)
            # The processors' libraries come with the packages; scripts would only fetch those of GPUs.
            command = [npm, "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--fetch-retries=1"]
            done = subprocess.run(command, cwd=partial_home, capture_output=True, text=True)
            if done.returncode and re.search(_UNREACHABLE, done.stderr):
                pytest.skip("npm cannot reach a registry")
            assert done.returncode == 0, done.stderr
            partial_home.rename(home)
    return home / "node_modules"


class TransformersJs(Protocol):
    """Answers the requests that `answers.mjs` describes."""

    def answers(self, bundle: Path, prompts: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]: ...

    def file(self, name: str, content: bytes) -> str:
        """What a request calls a file with this content."""
        ...


class InNode:
    """`folder` is empty and has the programs, the packages and the requests in it afterwards."""

    def __init__(self, folder: Path) -> None:
        self._node, npm = node_and_npm()
        self._folder = folder
        for name in ("greedy.mjs", "answers.mjs"):
            shutil.copy(SOURCES / name, folder)
        (folder / "node_modules").symlink_to(installed_modules(npm), target_is_directory=True)

    def answers(self, bundle: Path, prompts: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
        request = self._folder / "request.json"
        request.write_text(json.dumps({"new_tokens": TOKENS, "prompts": prompts, **options}))
        command = [self._node, "greedy.mjs", str(bundle), str(request)]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    def file(self, name: str, content: bytes) -> str:
        (self._folder / name).write_bytes(content)
        return str(self._folder / name)


class OnPage:
    """The same on a page in Chromium, on `device` ("wasm" or "webgpu"). A context manager."""

    def __init__(self, chromium: str, folder: Path, device: str) -> None:
        self._chromium, self._folder, self._device = chromium, folder, device
        self._roots = {"": SOURCES, "node_modules": installed_modules(node_and_npm()[1]), "files": folder}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        from playwright.sync_api import sync_playwright

        with ExitStack() as stack:
            self._address = stack.enter_context(serving(partial(_Files, self._roots)))
            chromium = stack.enter_context(sync_playwright()).chromium
            self._browser = chromium.launch(executable_path=self._chromium, args=list(_FLAGS))
            stack.callback(self._browser.close)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def gpu_features(self) -> list[str]:
        """What WebGPU can do here; empty where there is none."""
        ask = "async () => [...((await navigator.gpu?.requestAdapter())?.features ?? [])]"
        features: list[str] = self._evaluate(ask)
        return features

    def answers(self, bundle: Path, prompts: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
        self._roots["bundle"] = bundle
        request = {"new_tokens": TOKENS, "prompts": prompts, **options}
        ask = "([request, device]) => window.ask(request, device)"
        answers: list[dict[str, Any]] = self._evaluate(ask, [request, self._device])
        return answers

    def file(self, name: str, content: bytes) -> str:
        (self._folder / name).write_bytes(content)
        return f"/files/{name}"

    def _evaluate(self, function: str, argument: Any = None) -> Any:
        """What a function of JavaScript returns on a page of its own."""
        with closing(self._browser.new_page()) as page:
            page.goto(f"{self._address}/page.html")
            page.wait_for_function("Boolean(window.ask)")
            return page.evaluate(function, argument)


class _Files(SimpleHTTPRequestHandler):
    """Files below several roots, each named by the first part of a path."""

    extensions_map: ClassVar[dict[str, str]] = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, roots: dict[str, Path], *args: Any) -> None:
        self._roots = roots
        super().__init__(*args)

    def translate_path(self, path: str) -> str:
        first, _, rest = unquote(urlsplit(path).path).removeprefix("/").partition("/")
        root, name = (self._roots[first], rest) if first in self._roots else (self._roots[""], first)
        found = (root / name).resolve()
        return str(found if found.is_relative_to(root.resolve()) else root / "missing")

    def log_message(self, *_: object) -> None: ...


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
