"""One step of the language model over a key-value cache that stays where it is.

A decoder whose attention can write new keys and values into the memory that holds the old ones (ONNX Runtime's
GroupQueryAttention) is bound to the cache's arrays and copies nothing: at 300 positions of the embedded model that
saves 14 MB of copying for each token. One that concatenates instead gets exact lengths, and its new rows are copied in.
"""

from __future__ import annotations

import weakref
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lorgnette.device.memory import HOST, memory_of
from lorgnette.device.session import Array, OnnxSession, SessionError
from lorgnette.llm.bound_cache import EMBEDS, LOGITS, MASK, POSITIONS, BoundCache, cache_names
from lorgnette.llm.kv_cache import KvCache
from lorgnette.llm.manifest import DecoderGeometry
from lorgnette.llm.sampling import Logits


class CachedDecoder(Protocol):
    """What an engine needs of a language model: `Decoder`, or a reference to hold it against."""

    def new_cache(self, capacity: int = 64) -> KvCache: ...

    def append(self, embeds: npt.NDArray[np.floating[Any]], cache: KvCache) -> Logits: ...


class Decoder:
    """A `decoder_model_merged` session. Different caches may be stepped by different threads, one cache by one."""

    def __init__(self, session: OnnxSession, geometry: DecoderGeometry) -> None:
        self._session = session
        self._geometry = geometry
        self._past, self._present = zip(*cache_names(geometry.layers), strict=True)
        missing = [name for name in (EMBEDS, *self._past) if name not in session.inputs]
        if missing:
            raise SessionError(
                f"{session.path.name} has no input {missing[0]}", "the manifest belongs to another model"
            )
        self._embeds_dtype = session.inputs[EMBEDS].dtype
        self._kv_dtype = session.inputs[self._past[0]].dtype
        self._bound: weakref.WeakKeyDictionary[KvCache, BoundCache] = weakref.WeakKeyDictionary()
        self._memory = memory_of(session.provider)
        self.in_place = self._can_write_in_place()

    def new_cache(self, capacity: int = 64) -> KvCache:
        return KvCache(self._geometry, self._kv_dtype, capacity, self._memory if self.in_place else HOST)

    def append(self, embeds: npt.NDArray[np.floating[Any]], cache: KvCache) -> Logits:
        """Compute the positions `embeds` [n, hidden] behind those in `cache`; float32 logits [vocabulary] of the last.

        Raises ValueError when they do not fit the context, SessionError when the runtime fails; the cache then is as
        it was.
        """
        count, hidden = embeds.shape
        if hidden != self._geometry.hidden:
            raise SessionError(
                f"{self._session.path.name} takes embeddings of {self._geometry.hidden} values, not {hidden}",
                "the parts of this bundle do not belong together",
            )
        cache.reserve(cache.length + count)
        step = self._append_in_place if self.in_place else self._append_copying
        logits = step(embeds, cache)
        cache.length += count
        return logits

    def _append_in_place(self, embeds: Array, cache: KvCache) -> Logits:
        bound = self._bound.get(cache)
        if bound is None or bound.capacity != cache.capacity:
            bound = self._bound[cache] = BoundCache(self._session, self._geometry, cache)
        return bound.append(embeds, cache.length)

    def _append_copying(self, embeds: Array, cache: KvCache) -> Logits:
        start, end = cache.length, cache.length + len(embeds)
        feeds: dict[str, Array] = {EMBEDS: np.ascontiguousarray(embeds[None], dtype=self._embeds_dtype)}
        feeds[MASK] = np.ones((1, end), np.int64)
        if POSITIONS in self._session.inputs:
            feeds[POSITIONS] = np.arange(start, end, dtype=np.int64)[None]
        feeds.update((name, array[:, :, :start]) for name, array in zip(self._past, cache.buffers, strict=True))
        outputs = self._session.run(feeds)
        for name, array in zip(self._present, cache.buffers, strict=True):
            array[:, :, start:end] = outputs[name][:, :, start:end]
        return np.asarray(outputs[LOGITS][0, -1], dtype=np.float32)

    def _can_write_in_place(self) -> bool:
        """Whether two short steps in place give the logits that exact lengths give; no file says so."""
        random = np.random.default_rng(0)
        steps = [random.standard_normal((n, self._geometry.hidden)).astype(self._embeds_dtype) for n in (3, 1)]
        results = []
        for self.in_place in (False, True):
            cache = self.new_cache(8)
            try:
                for step in steps:
                    logits = self.append(step, cache)
            except SessionError:
                if not self.in_place:
                    raise
                return False
            results.append(logits)
        # A GPU has one kernel for the one way and another for the other, and may add in half precision.
        tolerance = 1e-4 if self._memory is HOST else 0.01 * float(np.abs(results[0]).max())
        return bool(np.allclose(results[0], results[1], rtol=1e-4, atol=tolerance))
