"""Steps of a decoder over memory that stays bound: a cache's arrays as past and as present, and what a step reads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from lorgnette.device.session import Array, OnnxSession
from lorgnette.llm.kv_cache import KvCache
from lorgnette.llm.manifest import DecoderGeometry
from lorgnette.llm.sampling import Logits

LOGITS_KEPT = "num_logits_to_keep"  # a decoder with this input, left out, computes logits of the last position alone
EMBEDS, MASK, POSITIONS, LOGITS = "inputs_embeds", "attention_mask", "position_ids", "logits"

_STEPS_BEFORE_RECORDING = 32


@dataclass(frozen=True, slots=True)
class _Step:
    """What a step of so many positions reads, the values bound for that, and the one bound for its logits."""

    inputs: dict[str, Array]
    bound: dict[str, Any]
    logits: Any


def cache_names(layers: int) -> list[tuple[str, str]]:
    """What a decoder calls each of a cache's arrays, in their order: as an input and as an output."""
    rows = [f"{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]
    return [(f"past_key_values.{row}", f"present.{row}") for row in rows]


class BoundCache:
    """The arrays of `cache`, as long as it keeps its capacity.

    An answer is made of steps of one position. Their memory is bound once: their mask has the cache's whole length, and
    covers what is computed. (Behind a step the processor's caches hold weights, and every call into the runtime that is
    left out saves a hundredth of a token's time.) A GPU that `replays` is told each of some 300 things to do anew for
    every position, which takes it longer than to do them: once a cache has lasted for a while, it is told all at once.
    """

    _recordings = itertools.count(1)

    def __init__(self, session: OnnxSession, geometry: DecoderGeometry, cache: KvCache) -> None:
        self._session = session
        self._geometry = geometry
        self.capacity = cache.capacity
        self._memory = cache.memory
        self._binding = session.raw.io_binding()
        for (past, present), buffer in zip(cache_names(geometry.layers), cache.buffers, strict=True):
            self._memory.bind_input(self._binding, past, buffer)
            self._memory.bind_output(self._binding, present, buffer)
        self._one = self._step(1, cache.capacity)
        self._bound: _Step | None = None
        self._steps_of_one = 0
        self._recording = 0

    def append(self, embeds: Array, start: int) -> Logits:
        """Compute `embeds` [n, hidden] behind `start` positions; the last one's logits [vocabulary]."""
        count = len(embeds)
        step = self._one if count == 1 else self._step(count, start + count)
        step.inputs[EMBEDS][...] = embeds
        step.inputs[MASK][:, : start + count] = 1
        step.inputs[MASK][:, start + count :] = 0
        if POSITIONS in step.inputs:
            step.inputs[POSITIONS][...] = np.arange(start, start + count)
        for name, value in step.bound.items():
            self._memory.send(step.inputs[name], value)
        if step is not self._bound:
            for name, value in step.bound.items():
                self._memory.bind_input(self._binding, name, value)
            self._memory.bind_output(self._binding, LOGITS, step.logits)
            self._bound = step
        self._session.run_bound(self._binding, self._recording_for(step))
        return np.array(self._memory.fetch(step.logits)[0, -1], np.float32)

    def _recording_for(self, step: _Step) -> int:
        """0 until there is something to gain: a recording takes a few steps' time and memory for good."""
        if step is not self._one or not self._session.replays:
            return 0
        self._steps_of_one += 1
        if self._steps_of_one == _STEPS_BEFORE_RECORDING:
            self._recording = next(self._recordings)
        return self._recording

    def _step(self, count: int, covered: int) -> _Step:
        given, geometry = self._session.inputs, self._geometry
        inputs = {EMBEDS: np.empty((1, count, geometry.hidden), given[EMBEDS].dtype)}
        inputs[MASK] = np.empty((1, covered), np.int64)
        if POSITIONS in given:
            inputs[POSITIONS] = np.empty((1, count), np.int64)
        rows = 1 if LOGITS_KEPT in self._session.optional_inputs else count
        logits = np.empty((1, rows, geometry.vocabulary), self._session.outputs[LOGITS].dtype)
        bound = {name: self._memory.place(array) for name, array in inputs.items()}
        return _Step(inputs, bound, self._memory.place(logits))
