"""A bundle's greedy answers to a question and to one about a picture, with the logits behind every token.

    python benchmarks/arm64_answers.py BUNDLE OUT.npz [--tokens 8] [--follow OTHER.npz]

`arm64.py` runs it here and on an emulated machine. With --follow the engine is led through the answers of the other
run, so that each token is chosen behind the same ones. It imports what `OnnxEngine` imports and nothing else.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import LorgnetteError
from lorgnette.device.picture import load_picture
from lorgnette.device.session import OnnxSession
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.decoder import Decoder
from lorgnette.llm.engine import Prompt
from lorgnette.llm.kv_cache import KvCache
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine
from lorgnette.llm.sampling import Logits

_PHOTOS = Path(__file__).resolve().parents[1] / "examples" / "photos"
_ASKED = (("Name three colours.", ""), ("What is in this picture?", "cat.jpg"))
LIBRARIES = ("onnxruntime", "numpy", "opencv-python-headless", "pillow", "tokenizers")


class NotingDecoder:
    """A bundle's decoder that keeps what it was given and what it gave; `follow` are the ids that it is to say.

    `rows` are the first embedding rows of the prompt (with a picture: those of its features), `logits` those behind
    the prompt and behind each token of the answer.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.follow: Sequence[int] | None = None
        self.rows: npt.NDArray[np.floating[Any]] | None = None
        self.logits: list[Logits] = []

    def new_cache(self, capacity: int = 64) -> KvCache:
        return self._decoder.new_cache(capacity)

    def append(self, embeds: npt.NDArray[np.floating[Any]], cache: KvCache) -> Logits:
        if not cache.length:
            self.rows = embeds
        logits = self._decoder.append(embeds, cache)
        if len(embeds) > 1:  # a piece of the prompt: the answer begins behind the last one
            self.logits.clear()
        self.logits.append(logits)
        if self.follow is None:
            return logits
        led = np.full_like(logits, -100.0)
        led[self.follow[len(self.logits) - 1]] = 0.0
        return led


def answer(folder: Path, tokens: int, follow: Path | None) -> dict[str, npt.NDArray[Any]]:
    """`logits_N` [tokens, vocabulary] and `rows_N` [rows, hidden] for each question, and `facts` in JSON."""
    started = time.perf_counter()
    bundle = ModelBundle.open(folder)
    decoder = NotingDecoder(Decoder(OnnxSession(bundle.path("decoder_model_merged")), bundle.decoder))
    engine = OnnxEngine(bundle, EngineSettings(max_new_tokens=tokens, max_tiles=1), decoder=decoder)
    open_s = time.perf_counter() - started
    found: dict[str, npt.NDArray[Any]] = {}
    answers = []
    for number, (question, photo) in enumerate(_ASKED if bundle.preprocessing else _ASKED[:1]):
        if follow is not None:
            with np.load(follow) as led:
                decoder.follow = [int(row.argmax()) for row in led[f"logits_{number}"]]
        started = time.perf_counter()
        prompt = Prompt(question, load_picture(_PHOTOS / photo) if photo else None)
        encode_s = engine.look(prompt.picture).encode_ns / 1e9 if prompt.picture is not None else 0.0
        text = "".join(token.text for token in engine.stream(prompt, CancelScope()))
        seconds = time.perf_counter() - started
        answers.append({"question": question, "picture": photo, "text": text, "s": seconds, "encode_s": encode_s})
        print(f"{platform.machine()}: {question} {seconds:.1f} s", file=sys.stderr, flush=True)
        found |= {f"logits_{number}": np.stack(decoder.logits), f"rows_{number}": np.asarray(decoder.rows)}
    facts = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "files": bundle.default_suffix,
        "open_s": open_s,
        "answers": answers,
    }
    return found | {"facts": np.array(json.dumps(facts))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--follow", type=Path)
    args = parser.parse_args()
    try:
        np.savez(args.out, allow_pickle=False, **answer(args.bundle, args.tokens, args.follow))
    except LorgnetteError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
