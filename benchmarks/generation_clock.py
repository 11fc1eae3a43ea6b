"""How long a model with transformers' `generate()` takes, whoever computes it: also in peers' environments."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


class _Clock:
    """A streamer that notes when each call came: the prompt, and then a token each."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None: ...


def time_tokens(model: Any, inputs: Mapping[str, Any], count: int) -> tuple[float, float]:
    """Let `model` say exactly `count` + 1 tokens, the likeliest ones: the seconds to the first, and tokens a second of
    the others."""
    clock = _Clock()
    started = time.perf_counter()
    model.generate(
        **inputs, max_new_tokens=count + 1, min_new_tokens=count + 1, do_sample=False, pad_token_id=2, streamer=clock
    )
    first, last = clock.times[1], clock.times[-1]
    return first - started, (len(clock.times) - 2) / (last - first)
