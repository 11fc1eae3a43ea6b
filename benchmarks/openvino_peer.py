"""OpenVINO's side of `smolvlm.py`, run in an environment of its own: what optimum-intel's exporter wrote, with its own
`generate()`.

Reads a line of JSON for each answer ({"pixels": "pixels.npy", "ids": [1, ...], "count": 32}) and writes one with the
seconds to the first token and the tokens a second of the `count` after it. The precision of the arithmetic is
OpenVINO's own choice for the processor, bfloat16 where that has it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optimum.intel import OVModelForVisualCausalLM

from lorgnette.device.heap import use_huge_pages


class Clock:
    """A streamer that notes when each call came: the prompt, and then a token each."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None: ...


def answer(model: Any, pixels: str, ids: list[int], count: int) -> dict[str, float]:
    values = torch.from_numpy(np.load(pixels))[None]
    inputs = {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones((1, len(ids)), dtype=torch.long),
        "pixel_values": values,
        "pixel_attention_mask": torch.ones((1, *values.shape[1:2], *values.shape[-2:]), dtype=torch.long),
    }
    clock = Clock()
    started = time.perf_counter()
    model.generate(
        **inputs, max_new_tokens=count + 1, min_new_tokens=count + 1, do_sample=False, pad_token_id=2, streamer=clock
    )
    first, last = clock.times[1], clock.times[-1]
    return {"first_s": first - started, "tokens_per_s": (len(clock.times) - 2) / (last - first)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    # The answers keep standard output to themselves, whatever libraries print.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(args.threads)
    settings = {"INFERENCE_NUM_THREADS": str(args.threads), "PERFORMANCE_HINT": "LATENCY"}
    model = OVModelForVisualCausalLM.from_pretrained(args.folder, ov_config=settings)
    use_huge_pages()
    versions = {name: importlib.metadata.version(name) for name in ("openvino", "optimum-intel", "transformers")}
    print(json.dumps(versions), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(model, **json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
