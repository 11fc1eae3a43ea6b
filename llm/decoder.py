"""One step of the language model over a key-value cache that stays where it is.

A decoder whose attention can write new keys and values into the memory that holds the old ones (ONNX Runtime's
GroupQueryAttention) is bound to the cache's arrays and copies nothing: at 300 positions of the embedded model that
saves 14 MB of copying for each token. One that concatenates instead gets exact lengths, and its new rows are copied in.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lorgnette.device.session import Array, OnnxSession, SessionError
from lorgnette.llm.kv_cache import KvCache
from lorgnette.llm.manifest import DecoderGeometry
from lorgnette.llm.sampling import Logits, agreed

LOGITS_KEPT = "num_logits_to_keep"  # a decoder with this input, left out, computes logits of the last position alone
_PAST, _PRESENT = "past_key_values", "present"


class CachedDecoder(Protocol):
    """What an engine needs of a language model: `Decoder`, or a reference to hold it against."""

    def new_cache(self, capacity: int = 64, views: int = 1) -> KvCache: ...

    def append(self, embeds: npt.NDArray[np.floating[Any]], cache: KvCache) -> Logits: ...


@dataclass(frozen=True, slots=True)
class _Bindings:
    """What a cache of this capacity is bound to, for each part of its views that is computed at once."""

    capacity: int
    of_views: dict[tuple[int, int], Any] = field(default_factory=dict)


class Decoder:
    """A `decoder_model_merged` session. Different caches may be stepped by different threads, one cache by one."""

    def __init__(self, session: OnnxSession, geometry: DecoderGeometry) -> None:
        self._session = session
        self._geometry = geometry
        self._past = [f"{_PAST}.{layer}.{kind}" for layer in range(geometry.layers) for kind in ("key", "value")]
        self._present = [name.replace(_PAST, _PRESENT, 1) for name in self._past]
        missing = [name for name in ("inputs_embeds", *self._past) if name not in session.inputs]
        if missing:
            raise SessionError(
                f"{session.path.name} has no input {missing[0]}", "the manifest belongs to another model"
            )
        self._embeds_dtype = session.inputs["inputs_embeds"].dtype
        self._kv_dtype = session.inputs[self._past[0]].dtype
        self._logits_dtype = session.outputs["logits"].dtype
        self._one_row_of_logits = LOGITS_KEPT in session.optional_inputs
        self._bindings: weakref.WeakKeyDictionary[KvCache, _Bindings] = weakref.WeakKeyDictionary()
        self.in_place = self._can_write_in_place()

    def new_cache(self, capacity: int = 64, views: int = 1) -> KvCache:
        return KvCache(self._geometry, self._kv_dtype, capacity, views)

    def append(self, embeds: npt.NDArray[np.floating[Any]], cache: KvCache) -> Logits:
        """Compute the positions `embeds` [n, hidden] behind those in `cache`; float32 logits [vocabulary] of the last.

        Where the cache has several views, `embeds` are for all of them, or [views, n, hidden], and the logits are those
        that the views agree on. Raises ValueError when the positions do not fit the context, SessionError when the
        runtime fails; the cache then is as it was.
        """
        count, hidden = embeds.shape[-2:]
        cache.reserve(cache.length + count)
        step = self._append_in_place if self.in_place else self._append_copying
        rows = np.ascontiguousarray(np.broadcast_to(embeds, (cache.views, count, hidden)), dtype=self._embeds_dtype)
        # The runtime's attention takes several rows of a batch behind a past only for one position.
        together = cache.views if count == 1 else 1
        parts = [slice(first, first + together) for first in range(0, cache.views, together)]
        logits = agreed([view for part in parts for view in step(rows[part], cache, part)])
        cache.length += count
        return logits

    def _append_in_place(self, embeds: Array, cache: KvCache, views: slice) -> Logits:
        rows = 1 if self._one_row_of_logits else embeds.shape[1]
        logits = np.empty((len(embeds), rows, self._geometry.vocabulary), self._logits_dtype)
        feeds = self._feeds(embeds, cache.length)
        binding = self._binding(cache, views)
        for name, array in feeds.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        binding.bind_output("logits", "cpu", 0, logits.dtype, logits.shape, logits.ctypes.data)
        self._session.run_bound(binding)
        return np.asarray(logits[:, -1], dtype=np.float32)

    def _binding(self, cache: KvCache, views: slice) -> Any:
        """These views of the cache's arrays bound as past and as present; made anew only when the cache has grown."""
        bindings = self._bindings.get(cache)
        if bindings is None or bindings.capacity != cache.capacity:
            bindings = self._bindings[cache] = _Bindings(cache.capacity)
        key = views.start, views.stop
        if key not in bindings.of_views:
            binding = self._session.raw.io_binding()
            for past, present, buffer in zip(self._past, self._present, cache.buffers, strict=True):
                array = buffer[views]
                binding.bind_input(past, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
                binding.bind_output(present, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
            bindings.of_views[key] = binding
        return bindings.of_views[key]

    def _append_copying(self, embeds: Array, cache: KvCache, views: slice) -> Logits:
        start, end = cache.length, cache.length + embeds.shape[1]
        feeds = self._feeds(embeds, start)
        feeds.update((name, array[views, :, :start]) for name, array in zip(self._past, cache.buffers, strict=True))
        outputs = self._session.run(feeds)
        for name, array in zip(self._present, cache.buffers, strict=True):
            array[views, :, start:end] = outputs[name][:, :, start:end]
        return np.asarray(outputs["logits"][:, -1], dtype=np.float32)

    def _feeds(self, embeds: Array, start: int) -> dict[str, Array]:
        """Positions count from 0 and the mask covers everything, as the graph's attention wants them."""
        end = start + embeds.shape[1]
        feeds: dict[str, Array] = {"inputs_embeds": embeds, "attention_mask": np.ones((len(embeds), end), np.int64)}
        if "position_ids" in self._session.inputs:
            feeds["position_ids"] = np.tile(np.arange(start, end, dtype=np.int64), (len(embeds), 1))
        return feeds

    def _can_write_in_place(self) -> bool:
        """Whether two short steps in place give the logits that exact lengths give; no file says so."""
        random = np.random.default_rng(0)
        steps = [random.standard_normal((1, n, self._geometry.hidden)).astype(self._embeds_dtype) for n in (3, 1)]
        results = []
        for append in (self._append_copying, self._append_in_place):
            cache = self.new_cache(8)
            try:
                for step in steps:
                    (logits,) = append(step, cache, slice(0, 1))
                    cache.length += step.shape[1]
            except SessionError:
                if append is self._append_copying:
                    raise
                return False
            results.append(logits)
        return bool(np.allclose(results[0], results[1], rtol=1e-4, atol=1e-4))
