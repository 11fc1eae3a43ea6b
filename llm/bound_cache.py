"""Steps of a decoder over memory that stays bound: a cache's arrays as past and as present, and what a step reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lorgnette.device.session import Array, OnnxSession
from lorgnette.llm.kv_cache import KvCache
from lorgnette.llm.manifest import DecoderGeometry
from lorgnette.llm.sampling import Logits

LOGITS_KEPT = "num_logits_to_keep"  # a decoder with this input, left out, computes logits of the last position alone
EMBEDS, MASK, POSITIONS, LOGITS = "inputs_embeds", "attention_mask", "position_ids", "logits"


@dataclass(frozen=True, slots=True)
class _Step:
    """Memory that a step of so many positions reads, and its logits."""

    inputs: dict[str, Array]
    logits: Array


def cache_names(layers: int) -> list[tuple[str, str]]:
    """What a decoder calls each of a cache's arrays, in their order: as an input and as an output."""
    rows = [f"{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]
    return [(f"past_key_values.{row}", f"present.{row}") for row in rows]


class BoundCache:
    """The arrays of `cache`, as long as it keeps its capacity.

    An answer is made of steps of one position. Their memory is bound once: their mask has the cache's whole length, and
    covers what is computed. (Behind a step the processor's caches hold weights, and every call into the runtime that is
    left out saves a hundredth of a token's time.)
    """

    def __init__(self, session: OnnxSession, geometry: DecoderGeometry, cache: KvCache) -> None:
        self._session = session
        self._geometry = geometry
        self.capacity = cache.capacity
        self._binding = session.raw.io_binding()
        for (past, present), buffer in zip(cache_names(geometry.layers), cache.buffers, strict=True):
            self._bind_input(past, buffer)
            self._bind_output(present, buffer)
        self._one = self._memory(1, cache.capacity)
        self._bound: _Step | None = None

    def append(self, embeds: Array, start: int) -> Logits:
        """Compute `embeds` [n, hidden] behind `start` positions; the last one's logits [vocabulary]."""
        count = len(embeds)
        step = self._one if count == 1 else self._memory(count, start + count)
        step.inputs[EMBEDS][...] = embeds
        step.inputs[MASK][:, : start + count] = 1
        step.inputs[MASK][:, start + count :] = 0
        if POSITIONS in step.inputs:
            step.inputs[POSITIONS][...] = np.arange(start, start + count)
        if step is not self._bound:
            for name, array in step.inputs.items():
                self._bind_input(name, array)
            self._bind_output(LOGITS, step.logits)
            self._bound = step
        self._session.run_bound(self._binding)
        return np.array(step.logits[0, -1], np.float32)

    def _memory(self, count: int, covered: int) -> _Step:
        given, geometry = self._session.inputs, self._geometry
        inputs = {EMBEDS: np.empty((1, count, geometry.hidden), given[EMBEDS].dtype)}
        inputs[MASK] = np.empty((1, covered), np.int64)
        if POSITIONS in given:
            inputs[POSITIONS] = np.empty((1, count), np.int64)
        rows = 1 if LOGITS_KEPT in self._session.optional_inputs else count
        logits = np.empty((1, rows, geometry.vocabulary), self._session.outputs[LOGITS].dtype)
        return _Step(inputs, logits)

    def _bind_input(self, name: str, array: Array) -> None:
        self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def _bind_output(self, name: str, array: Array) -> None:
        self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
