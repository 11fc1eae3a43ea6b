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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from generation_clock import time_tokens
from optimum.intel import OVModelForVisualCausalLM

from lorgnette.device.heap import use_huge_pages


def answer(model: Any, pixels: str, ids: list[int], count: int) -> dict[str, float]:
    values = torch.from_numpy(np.load(pixels))[None]
    inputs = {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones((1, len(ids)), dtype=torch.long),
        "pixel_values": values,
        "pixel_attention_mask": torch.ones((1, *values.shape[1:2], *values.shape[-2:]), dtype=torch.long),
    }
    first_s, rate = time_tokens(model, inputs, count)
    return {"first_s": first_s, "tokens_per_s": rate}


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
