"""The keys and values that the decoder has computed, kept so that nothing is computed twice.

`KvCache` is memory with a length: appending is writing behind the length, rewinding is lowering it. `Conversation` says
what the positions stand for and finds how much of a new prompt is there already. `PictureCache` keeps the beginnings of
prompts (template and picture) of the last few pictures.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from lorgnette.device.memory import HOST, Memory
from lorgnette.llm.manifest import DecoderGeometry

Key = int | str
"""What stands at a position: a token id, or for a row of a picture the picture's fingerprint."""

_SMALLEST = 64
_SMALLEST_ELSEWHERE = 512


class KvCache:
    """`buffers` holds for each layer a key and then a value array [1, kv_heads, capacity, head_dim] in `memory`, of
    which the first `length` positions count. Growing replaces the arrays."""

    def __init__(
        self,
        geometry: DecoderGeometry,
        dtype: np.dtype[Any],
        capacity: int = _SMALLEST,
        memory: Memory = HOST,
    ) -> None:
        self._limit = geometry.context
        self._heads, self._width, self._dtype = geometry.kv_heads, geometry.head_dim, dtype
        self.memory = memory
        self.capacity = min(capacity if memory is HOST else _one_of_few(capacity), self._limit)
        self.length = 0
        self.buffers = [self._empty() for _ in range(2 * geometry.layers)]

    def reserve(self, length: int) -> None:
        """Have room for `length` positions, at most the context; what is there stays."""
        if length > self._limit:
            raise ValueError(f"{length} positions do not fit a context of {self._limit}")
        if length <= self.capacity:
            return
        while self.capacity < length:
            self.capacity = min(2 * self.capacity, self._limit)
        for index, old in enumerate(self.buffers):
            self.buffers[index] = self._empty()
            self.memory.copy(old, self.buffers[index], self.length)

    def rewind(self, length: int) -> None:
        """Forget the positions from `length` on."""
        self.length = min(self.length, length)

    def copy_from(self, other: KvCache) -> None:
        """Hold what `other` holds and nothing else."""
        self.length = 0
        self.reserve(other.length)
        for mine, theirs in zip(self.buffers, other.buffers, strict=True):
            self.memory.copy(theirs, mine, other.length)
        self.length = other.length

    def _empty(self) -> Any:
        # Attention multiplies what lies behind the length by zero, which nothing but numbers survives.
        return self.memory.place(np.zeros((1, self._heads, self.capacity, self._width), self._dtype))


def _one_of_few(capacity: int) -> int:
    """A capacity at least as large: caches of the same are copied within a GPU, others by way of the processor."""
    return max(_SMALLEST_ELSEWHERE, 1 << (capacity - 1).bit_length())


class Conversation:
    """A cache together with what stands at each of its positions.

    It may be cut back to a mark, and nowhere else: a turn's question is computed in one piece, so only whole pieces are
    what a cold start would have computed, to the bit.
    """

    def __init__(self, cache: KvCache) -> None:
        self.cache = cache
        self._keys: list[Key] = []
        self._marks: list[int] = []

    def reuse(self, keys: Sequence[Key]) -> int:
        """Cut back to the longest marked beginning of `keys` (at least one key stays to be computed); its length."""
        common = 0
        for mine, wanted in zip(self._keys, keys[:-1], strict=False):
            if mine != wanted:
                break
            common += 1
        kept = max((mark for mark in self._marks if mark <= common), default=0)
        self._marks = [mark for mark in self._marks if mark <= kept]
        del self._keys[kept:]
        self.cache.rewind(kept)
        return kept

    def restart(self, beginning: KvCache, keys: Sequence[Key]) -> None:
        """Become a copy of `beginning`, whose positions are `keys`, with a mark at its end."""
        self._keys, self._marks = [], []
        self.cache.copy_from(beginning)
        self.note(keys)
        self.mark()

    def note(self, keys: Sequence[Key]) -> None:
        """Say what the positions just appended to the cache stand for."""
        self._keys.extend(keys)

    def mark(self) -> None:
        """Allow later prompts to start from here."""
        if self.cache.length != len(self._keys):
            raise ValueError(f"{self.cache.length} positions are computed, {len(self._keys)} are noted")
        self._marks.append(self.cache.length)


class PictureCache:
    """The computed beginnings of the `limit` most recently used pictures, by fingerprint."""

    def __init__(self, limit: int) -> None:
        self._limit = max(1, limit)
        self._beginnings: OrderedDict[str, KvCache] = OrderedDict()

    def get(self, fingerprint: str) -> KvCache | None:
        if fingerprint in self._beginnings:
            self._beginnings.move_to_end(fingerprint)
        return self._beginnings.get(fingerprint)

    def put(self, fingerprint: str, beginning: KvCache) -> None:
        self._beginnings[fingerprint] = beginning
        self._beginnings.move_to_end(fingerprint)
        while len(self._beginnings) > self._limit:
            self._beginnings.popitem(last=False)

    def __len__(self) -> int:
        return len(self._beginnings)
