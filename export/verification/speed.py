"""What a bundle costs to run: time to the first token, tokens a second, memory. In a process of its own.

    python -m lorgnette.export.verification.speed BUNDLE [--threads N]

prints one JSON object. Pictures are noise of 640 x 480, each new, seen as one tile; memory is the most that the process
ever held.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lorgnette.device.errors import LorgnetteError
from lorgnette.device.frame import Frame
from lorgnette.device.provider import CUDA, gpu_name
from lorgnette.export.verification.memory import peak_memory_mb
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine, provider_for

_ROUNDS, _TOKENS = 5, 32
_QUESTION = "What is in this picture?"


@dataclass(frozen=True, slots=True)
class SpeedFigures:
    """Seconds to open the bundle and to the first token of a new picture (median), of which `encode_s` is the image
    encoder; tokens a second behind that (median); the most memory in 10^6 bytes, a GPU's own not counted. `gpu` is
    the name of one that decoded, if any did."""

    open_s: float
    first_token_s: float
    encode_s: float
    tokens_per_s: float
    memory_mb: float
    gpu: str = ""


def measure(bundle: Path, threads: int = 0) -> SpeedFigures:
    """Measure `bundle` on this machine, in another process. Raises LorgnetteError if that fails."""
    command = [sys.executable, "-m", __name__, str(bundle), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise LorgnetteError(f"the bundle could not be run: {last}", "free some memory")
    return SpeedFigures(**json.loads(done.stdout))


def _measure_here(folder: Path, threads: int) -> SpeedFigures:
    started = time.perf_counter()
    bundle = ModelBundle.open(folder)
    # A model with random weights ends its answers when it likes.
    engine = OnnxEngine(bundle, EngineSettings(max_new_tokens=_TOKENS, threads=threads, max_tiles=1))
    opened = time.perf_counter() - started
    firsts, encodes, rates = [], [], []
    for picture in _pictures(bundle.preprocessing is not None):
        started = time.perf_counter()
        encodes.append(engine.look(picture).encode_ns / 1e9 if picture is not None else 0.0)
        stream = engine.stream(Prompt(_QUESTION, picture), CancelScope())
        next(stream, None)
        first = time.perf_counter()
        count = sum(1 for _ in stream)
        if count > 1:
            rates.append(count / (time.perf_counter() - first))
        firsts.append(first - started)
    median = statistics.median
    rate = median(rates) if rates else 0.0
    gpu = gpu_name() if provider_for(bundle, "decoder_model_merged") == CUDA else ""
    return SpeedFigures(opened, median(firsts[1:]), median(encodes[1:]), rate, peak_memory_mb(), gpu)


def _pictures(sees: bool) -> Iterator[Frame | None]:
    """A first one to warm up, and one for each round."""
    for seed in range(_ROUNDS + 1):
        pixels = np.random.default_rng(seed).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        yield Frame(pixels) if sees else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    try:
        print(json.dumps(asdict(_measure_here(args.bundle, args.threads))))
    except LorgnetteError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
