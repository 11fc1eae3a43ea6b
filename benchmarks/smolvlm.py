"""SmolVLM-256M at its true size: time to the first token, tokens a second; ours, transformers, OpenVINO, by turns.

    python benchmarks/make_smolvlm.py smolvlm/                       # where no real checkpoint is at hand
    lorgnette export smolvlm/ --decoder int4 int8 --out bundle/ --keep-anyway
    pip install -e '.[export,bench]'
    python benchmarks/smolvlm.py --checkpoint smolvlm/ --bundle bundle/ [--openvino-venv FOLDER] [--json]

The first token is timed from a new 640 x 480 frame in memory, seen as one tile, with its preprocessing. transformers
runs the checkpoint in float32 and in bfloat16 with its own generate() on the pixels that we made, and counts the time
that they took as its own; so does OpenVINO, in a process and an environment of its own (`openvino_peer.py`; 2 GB in
FOLDER), with what optimum-intel exports of the checkpoint in 8 and in 4 bits. Every round measures each runner once,
in rotating order, with a pause between. Ratios are medians of the rounds' own ratios.

    lorgnette export smolvlm/ --profile cuda --out half/ --keep-anyway
    python benchmarks/smolvlm.py --checkpoint smolvlm/ --bundle half/ --gpu

compares on an NVIDIA GPU (docs/gpu.md), transformers in float16 and in bfloat16, and in float16 with the static cache
for which it compiles its decoder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from generation_clock import time_tokens
from machine import describe_machine
from peer_process import REPOSITORY, PeerProcess, make_environment, run_checked

from lorgnette.device.errors import LorgnetteError
from lorgnette.device.frame import Frame
from lorgnette.device.heap import use_huge_pages
from lorgnette.device.provider import gpu_name, why_no_cuda
from lorgnette.export.precision import PRECISIONS
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine

_PAUSE_S = 0.3
_OPENVINO = {
    "openvino": "2026.4.1",
    "openvino-tokenizers": "2026.4.1.0",
    "nncf": "3.4.0",
    "optimum": "2.3.0",
    "optimum-intel": "2.2.0",
    "torch": "2.13.0",
    "transformers": "4.57.6",  # the last that optimum-intel 2.2 exports this family with
}
# How transformers runs: type, PyTorch's device, options of generate().
_ON_PROCESSOR: dict[str, tuple[str, str, dict[str, str]]] = {
    "float32": ("float32", "cpu", {}),
    "bfloat16": ("bfloat16", "cpu", {}),
}
_ON_GPU: dict[str, tuple[str, str, dict[str, str]]] = {
    "float16": ("float16", "cuda", {}),
    "bfloat16": ("bfloat16", "cuda", {}),
    "float16 compiled": ("float16", "cuda", {"cache_implementation": "static"}),
}
_QUESTION = "What is in this picture?"


class Runner(Protocol):
    def answer(self, picture: Frame, count: int) -> tuple[float, float]:
        """Seconds to the first token, and tokens a second of the `count` after it."""
        ...


class OurRunner:
    """The bundle through the engine that the program uses. Stop tokens do not stop it: both sides do the same work."""

    def __init__(self, bundle: ModelBundle, decoder: str, threads: int, count: int) -> None:
        suffix = PRECISIONS[decoder].suffix
        suffixes = dict(bundle.default_suffix) | {"embed_tokens": suffix, "decoder_model_merged": suffix}
        endless = replace(bundle, default_suffix=suffixes, prompt=replace(bundle.prompt, stop_ids=(-1,)))
        self.engine = OnnxEngine(endless, EngineSettings(max_new_tokens=count + 1, threads=threads, max_tiles=1))

    def answer(self, picture: Frame, count: int) -> tuple[float, float]:
        started = time.perf_counter()
        stream = self.engine.stream(Prompt(_QUESTION, picture), CancelScope())
        next(stream)
        first = time.perf_counter()
        told = sum(1 for _ in stream)
        return first - started, told / (time.perf_counter() - first)


def inputs_of(engine: OnnxEngine, picture: Frame) -> tuple[list[int], npt.NDArray[np.float32]]:
    """The prompt's ids, and pixels [tiles, 3, height, width]."""
    ids = engine._prompts.write(Prompt(_QUESTION, picture))
    preprocessor = engine._seeing().preprocessor
    return [*ids.beginning, *ids.rest], preprocessor.normalise(preprocessor.resize(picture))


class TransformersRunner:
    """`device` is PyTorch's. `options` are for `generate`."""

    def __init__(
        self, checkpoint: Path, dtype: str, ours: OurRunner, threads: int, device: str = "cpu", **options: Any
    ) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self._torch, self._ours = torch, ours
        self._dtype = getattr(torch, dtype)
        model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=self._dtype).eval()
        self._model, self._device, self._options = model.to(device), device, options

    def answer(self, picture: Frame, count: int) -> tuple[float, float]:
        torch = self._torch
        started = time.perf_counter()
        ids, pixels = inputs_of(self._ours.engine, picture)
        inputs: dict[str, Any] = {"input_ids": torch.tensor([ids])}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        inputs["pixel_values"] = torch.from_numpy(pixels)[None].to(self._dtype)
        inputs["pixel_attention_mask"] = torch.ones((1, 1, *pixels.shape[-2:]), dtype=torch.long)
        inputs = {name: tensor.to(self._device) for name, tensor in inputs.items()}
        prepared_s = time.perf_counter() - started
        with torch.inference_mode():
            first_s, rate = time_tokens(self._model, inputs | self._options, count)
        return prepared_s + first_s, rate


class OpenVinoRunner:
    def __init__(self, process: PeerProcess, ours: OurRunner, scratch: Path) -> None:
        self._process, self._ours, self._pixels = process, ours, scratch / "pixels.npy"

    def answer(self, picture: Frame, count: int) -> tuple[float, float]:
        started = time.perf_counter()
        ids, pixels = inputs_of(self._ours.engine, picture)
        prepared_s = time.perf_counter() - started
        np.save(self._pixels, pixels)
        found = self._process.ask({"pixels": str(self._pixels), "ids": ids, "count": count})
        return prepared_s + found["first_s"], found["tokens_per_s"]


def openvino(folder: Path, checkpoint: Path, weights: str, threads: int) -> PeerProcess:
    """A process that has the checkpoint with `weights` in int8 or int4, exported now if it has not been."""
    pins = "".join(f"{name}=={version}\n" for name, version in _OPENVINO.items())
    # optimum-intel asks for torchvision too and does without, and of us the peer needs one file.
    alone = ["--no-deps", "optimum-intel", "--editable", str(REPOSITORY)]
    others = [*(name for name in _OPENVINO if name not in alone), "requests", "setuptools"]
    python = make_environment(folder, f"openvino {_OPENVINO['openvino']}", [others, alone], pins)
    changed = (checkpoint / "model.safetensors").stat().st_mtime_ns
    exported = folder / "exported" / f"{weights}-{changed}"
    if not exported.is_dir():
        print(f"exporting {checkpoint} to OpenVINO in {weights} ...", file=sys.stderr)
        unfinished = exported.with_name(f"{exported.name}.part")
        command = [str(python.with_name("optimum-cli")), "export", "openvino", "--model", str(checkpoint)]
        command += ["--task", "image-text-to-text", "--weight-format", weights]
        if weights == "int4":
            command += ["--group-size", "64"]  # its own 128 do not divide a row of 576
        command.append(str(unfinished))
        run_checked(command, "OpenVINO's exporter failed", "run it by hand")
        unfinished.rename(exported)
    program = str(Path(__file__).with_name("openvino_peer.py"))
    return PeerProcess([str(python), program, str(exported), f"--threads={threads}"], {})


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--openvino-venv", type=Path, help="a folder for OpenVINO's environment, made if missing")
    parser.add_argument("--gpu", action="store_true", help="compare on an NVIDIA GPU")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.gpu and why_no_cuda():
        parser.exit(2, f"no GPU can be used: {why_no_cuda()}; install what docs/gpu.md says\n")
    bundle = ModelBundle.open(args.bundle)
    names = {precision.suffix: name for name, precision in PRECISIONS.items()}
    decoders = [names[file.suffix] for file in bundle.files if file.role == "decoder_model_merged"]
    with ExitStack() as stack:
        try:
            peers = _peers(stack, args)
        except LorgnetteError as error:
            parser.exit(2, f"{error}\n")
        ours = {f"ours, {name}": OurRunner(bundle, name, args.threads, args.tokens) for name in decoders}
        some = next(iter(ours.values()))
        runners: dict[str, Runner] = {**ours}
        for name, (dtype, device, options) in (_ON_GPU if args.gpu else _ON_PROCESSOR).items():
            runner = TransformersRunner(args.checkpoint, dtype, some, args.threads, device, **options)
            runners[f"transformers, {name}"] = runner
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runners |= {f"openvino, {name}": OpenVinoRunner(peer, some, scratch) for name, peer in peers.items()}
        use_huge_pages()  # as a conversation does, here for everybody's weights
        report = _measure(runners, args)
    print(json.dumps(report, indent=1) if args.json else _text(report))
    return 0


def _peers(stack: ExitStack, args: argparse.Namespace) -> dict[str, PeerProcess]:
    if args.openvino_venv is None:
        return {}
    folder = args.openvino_venv.resolve()
    processes = {name: openvino(folder, args.checkpoint, name, args.threads) for name in ("int8", "int4")}
    return {name: stack.enter_context(process) for name, process in processes.items()}


def _measure(runners: dict[str, Runner], args: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    order = list(runners)
    for number in range(-1, args.rounds):  # round -1 warms up
        for name in order[number % len(order) :] + order[: number % len(order)]:
            pixels = np.random.default_rng(number + 10).integers(0, 256, (480, 640, 3), dtype=np.uint8)
            time.sleep(_PAUSE_S)
            figures = runners[name].answer(Frame(pixels), args.tokens)
            if number >= 0:
                found[name].append(figures)
    ours = [name for name in order if name.startswith("ours")]
    peers = [name for name in order if name not in ours]
    ratios = {}
    for one in ours:
        for peer in peers:
            pairs = list(zip(found[one], found[peer], strict=True))
            ratios[f"{one} to {peer}"] = {
                "first token": round(statistics.median(b[0] / a[0] for a, b in pairs), 2),
                "decode": round(statistics.median(a[1] / b[1] for a, b in pairs), 2),
            }
    return {
        "machine": f"{gpu_name()}, {describe_machine()}" if args.gpu else describe_machine(),
        "settings": {name: getattr(args, name) for name in ("threads", "rounds", "tokens")},
        "medians": {
            name: {
                "first_token_s": round(statistics.median(first for first, _ in values), 3),
                "tokens_per_s": round(statistics.median(rate for _, rate in values), 1),
            }
            for name, values in found.items()
        },
        "ratios": ratios,
    }


def _text(report: dict[str, Any]) -> str:
    lines = [
        report["machine"],
        "{threads} threads, {rounds} rounds, {tokens} tokens, medians".format(**report["settings"]),
    ]
    for name, value in report["medians"].items():
        lines.append(f"  {name:24} first token {value['first_token_s']:.3f} s  {value['tokens_per_s']:7.1f} tokens/s")
    for name, value in report["ratios"].items():
        lines.append(
            f"{name}: first token {value['first token']:.2f} times as fast, decode {value['decode']:.2f} times"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
