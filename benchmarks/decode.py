"""Tokens a second of prefill and decode: ours, llama.cpp, onnxruntime-genai and transformers, taking turns in one run.

    nice -n 15 pip install llama-cpp-python            # compiles for 6 minutes and more; left out if it is not there
    pip install -e '.[export,bench]'                   # for transformers and onnxruntime-genai; the same
    python benchmarks/decode.py [--gguf SmolLM2-135M-Instruct.Q4_1.gguf] [--bundle bundle/] [--json]

All run the same ids on the same number of threads. Ours runs the bundle through the engine's own decoder, with keys and
values in place and the weights on huge pages, as in a conversation; the adapter that is merged into it changes values,
not sizes. llama.cpp runs the GGUF as it is, through its C interface; transformers runs the GGUF's weights in fp32 with
its dynamic cache; onnxruntime-genai runs what its own builder makes of these weights (--genai-precision, symmetric
blocks of 32, accuracy level 4). Every runner lives in a process of its own: of four equal sessions that were opened one
after the other in one process, the first decoded 10 % slower than the last. Every round measures each runner once, in
rotating order, with a pause between so that no runner's spinning threads are in the next one's way. Decode includes the
choice of the most probable token.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from machine import describe_machine

_PAUSE_S = 0.3


class Runner(Protocol):
    """A language model with one cache. Both methods return seconds."""

    def prefill(self, ids: list[int]) -> float:
        """Forget everything, then compute `ids`."""
        ...

    def decode(self, count: int) -> float:
        """Add `count` tokens, each the most probable one."""
        ...


class Elsewhere:
    """The runner that `make(*args)` makes, in a process of its own."""

    def __init__(self, make: Callable[..., Runner], *args: object) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._here, there = spawning.Pipe()
        spawning.Process(target=_serve, args=(there, make, args), daemon=True).start()
        there.close()
        self._here.recv()  # it is open

    def prefill(self, ids: list[int]) -> float:
        return self._ask("prefill", ids)

    def decode(self, count: int) -> float:
        return self._ask("decode", count)

    def _ask(self, method: str, argument: object) -> float:
        self._here.send((method, argument))
        return float(self._here.recv())


def _serve(there: Connection, make: Callable[..., Runner], args: tuple[object, ...]) -> None:
    runner = make(*args)
    there.send("open")
    with contextlib.suppress(EOFError):  # nobody asks any more
        while True:
            method, argument = there.recv()
            there.send(getattr(runner, method)(argument))


class OurRunner:
    def __init__(self, bundle_folder: Path, threads: int) -> None:
        from lorgnette.device.heap import use_huge_pages
        from lorgnette.device.session import OnnxSession
        from lorgnette.llm.bundle import ModelBundle
        from lorgnette.llm.decoder import Decoder

        bundle = ModelBundle.open(bundle_folder)
        self._embed = OnnxSession(bundle.path("embed_tokens"), threads=1)  # as the engine does
        self._decoder = Decoder(OnnxSession(bundle.path("decoder_model_merged"), threads), bundle.decoder)
        self._cache = self._decoder.new_cache()
        use_huge_pages()

    def prefill(self, ids: list[int]) -> float:
        started = time.perf_counter()
        self._cache.rewind(0)
        self._append(ids)
        return time.perf_counter() - started

    def decode(self, count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            self._append([int(self._logits.argmax())])
        return time.perf_counter() - started

    def _append(self, ids: list[int]) -> None:
        rows = self._embed.run({"input_ids": np.array([ids], np.int64)})["inputs_embeds"][0]
        self._logits = self._decoder.append(rows, self._cache)


class LlamaCppRunner:
    def __init__(self, gguf: Path, threads: int, context: int) -> None:
        import llama_cpp

        self._api = llama_cpp
        self._model = llama_cpp.Llama(
            str(gguf), n_ctx=context, n_batch=context, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def prefill(self, ids: list[int]) -> float:
        started = time.perf_counter()
        self._model.reset()
        self._model.eval(ids)
        self._api.llama_synchronize(self._model.ctx)
        return time.perf_counter() - started

    def decode(self, count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            logits = self._api.llama_get_logits_ith(self._model.ctx, -1)
            best = int(np.ctypeslib.as_array(logits, (self._model.n_vocab(),)).argmax())
            self._model.eval([best])
        self._api.llama_synchronize(self._model.ctx)
        return time.perf_counter() - started


class GenaiRunner:
    """onnxruntime-genai's own generator. Its search chooses the token inside."""

    def __init__(self, folder: Path, context: int) -> None:
        import onnxruntime_genai

        self._api = onnxruntime_genai
        self._model = onnxruntime_genai.Model(str(folder))
        self._context = context

    def prefill(self, ids: list[int]) -> float:
        params = self._api.GeneratorParams(self._model)
        params.set_search_options(max_length=self._context, min_length=self._context, do_sample=False)
        self._generator = self._api.Generator(self._model, params)
        started = time.perf_counter()
        self._generator.append_tokens(np.array(ids, np.int32))
        self._generator.get_logits()
        return time.perf_counter() - started

    def decode(self, count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            self._generator.generate_next_token()
        self._generator.get_logits()  # the last token's, so that all have been computed
        return time.perf_counter() - started


def build_for_genai(gguf: Path, precision: str, threads: int, folder: Path) -> Path:
    """A model folder of onnxruntime-genai's builder with the GGUF's weights."""
    from lorgnette.export.gguf_checkpoint import read_gguf
    from lorgnette.export.train.torch_engine import torch_llama

    checkpoint = read_gguf(gguf)
    source, out = folder / "source", folder / "genai"
    torch_llama(checkpoint.weights).save_pretrained(source)
    checkpoint.tokenizer.save(str(source / "tokenizer.json"))
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    (source / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    options = ["int4_accuracy_level=4", "int4_block_size=32"]
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", str(source), "-i", str(source)]
    command += ["-o", str(out), "-p", precision, "-e", "cpu", "-c", str(folder / "cache"), "--extra_options", *options]
    subprocess.run(command, check=True, capture_output=True)
    config = json.loads((out / "genai_config.json").read_text())
    config["model"]["decoder"]["session_options"] |= {"intra_op_num_threads": threads}
    (out / "genai_config.json").write_text(json.dumps(config))
    return out


class TransformersRunner:
    def __init__(self, gguf: Path, threads: int) -> None:
        import torch

        from lorgnette.export.gguf_checkpoint import read_gguf
        from lorgnette.export.train.torch_engine import torch_llama

        torch.set_num_threads(threads)
        self._torch = torch
        self._model = torch_llama(read_gguf(gguf).weights)

    def prefill(self, ids: list[int]) -> float:
        started = time.perf_counter()
        self._cache = None
        self._append(ids)
        return time.perf_counter() - started

    def decode(self, count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            self._append([int(self._logits.argmax())])
        return time.perf_counter() - started

    def _append(self, ids: list[int]) -> None:
        with self._torch.inference_mode():
            output = self._model(
                self._torch.tensor([ids]), past_key_values=self._cache, use_cache=True, logits_to_keep=1
            )
        self._cache, self._logits = output.past_key_values, output.logits[0, -1]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", type=Path, help="default: the embedded model's, built where it is missing")
    parser.add_argument("--gguf", type=Path, help="default: the one in the catalogue")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--prompt", type=int, default=128, help="tokens of prefill")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of decode, after the prefill")
    parser.add_argument("--genai-precision", default="int8", help="int8 (as our default bundle) or int4")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.bundle, args.gguf = _models(args)

    with tempfile.TemporaryDirectory() as scratch:
        return _run(args, _open_runners(args, Path(scratch)))


def _models(args: argparse.Namespace) -> tuple[Path, Path]:
    """The bundle and the GGUF. Only here is the assistant imported: it has OpenMP's threads sleep at once, which costs
    llama.cpp two thirds of its speed, and is no business of the peers' processes."""
    from lorgnette.assistant.config import load_config
    from lorgnette.assistant.wiring import Wiring

    wiring = Wiring(load_config())
    bundle = args.bundle or wiring.bundle().folder
    gguf = args.gguf or wiring.store().path("smollm2-135m-instruct")
    os.environ.pop("OMP_WAIT_POLICY", None)
    return bundle, gguf


def _run(args: argparse.Namespace, runners: dict[str, Runner]) -> int:
    ids = np.random.default_rng(0).integers(100, 40_000, args.prompt).tolist()
    rates: dict[str, dict[str, list[float]]] = {name: {"prefill": [], "decode": []} for name in runners}
    for round_number in range(-1, args.rounds):  # round -1 warms up
        names = list(runners)
        for name in names[round_number % len(names) :] + names[: round_number % len(names)]:
            time.sleep(_PAUSE_S)
            prefill_s = runners[name].prefill(ids)
            decode_s = runners[name].decode(args.tokens)
            if round_number >= 0:
                rates[name]["prefill"].append(len(ids) / prefill_s)
                rates[name]["decode"].append(args.tokens / decode_s)
    report = _report(args, rates)
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        _print(report)
    return 0


def _open_runners(args: argparse.Namespace, scratch: Path) -> dict[str, Runner]:
    runners: dict[str, Runner] = {"ours": Elsewhere(OurRunner, args.bundle, args.threads)}
    if importlib.util.find_spec("llama_cpp"):
        runners["llama.cpp"] = Elsewhere(LlamaCppRunner, args.gguf, args.threads, args.prompt + args.tokens + 8)
    else:
        print("llama.cpp is left out: pip install llama-cpp-python (it compiles for minutes)", file=sys.stderr)
    if importlib.util.find_spec("onnxruntime_genai") and importlib.util.find_spec("torch"):
        built = build_for_genai(args.gguf, args.genai_precision, args.threads, scratch)
        runners["genai"] = Elsewhere(GenaiRunner, built, args.prompt + args.tokens + 8)
    else:
        print("onnxruntime-genai is left out: pip install -e '.[export,bench]'", file=sys.stderr)
    if importlib.util.find_spec("transformers") and importlib.util.find_spec("torch"):
        runners["transformers"] = Elsewhere(TransformersRunner, args.gguf, args.threads)
    else:
        print("transformers is left out: pip install -e '.[export]'", file=sys.stderr)
    return runners


def _report(args: argparse.Namespace, rates: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Medians in tokens a second, and ratios as the median of the rounds' own ratios."""
    ratios = {
        f"{kind}, ours to {name}": round(
            statistics.median(a / b for a, b in zip(rates["ours"][kind], rates[name][kind], strict=True)), 3
        )
        for name in rates
        if name != "ours"
        for kind in ("decode", "prefill")
    }
    packages = ("onnxruntime", "onnxruntime-genai", "llama-cpp-python", "transformers", "torch")
    return {
        "machine": describe_machine(),
        "versions": {name: _version(name) for name in packages},
        "settings": {key: getattr(args, key) for key in ("threads", "rounds", "prompt", "tokens")},
        "tokens_per_second": {
            name: {
                kind: {"median": round(statistics.median(v), 1), "low": round(min(v), 1), "high": round(max(v), 1)}
                for kind, v in kinds.items()
            }
            for name, kinds in rates.items()
        },
        "ratios": ratios,
    }


def _print(report: dict[str, Any]) -> None:
    settings = report["settings"]
    print(report["machine"])
    print(f"{settings['threads']} threads, {settings['rounds']} rounds, medians (low to high), tokens a second")
    for kind in ("decode", "prefill"):
        print(f"{kind} ({settings['tokens' if kind == 'decode' else 'prompt']} tokens)")
        for name, kinds in report["tokens_per_second"].items():
            row = kinds[kind]
            print(f"  {name:14} {row['median']:8.1f}  ({row['low']:.1f} to {row['high']:.1f})")
    for name, ratio in report["ratios"].items():
        print(f"{name}: {ratio:.2f}")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
