"""Questions chosen so that always giving the commonest answer gains little."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_SHARE = 0.15


def balanced(items: Sequence[T], group: Callable[[T], str], rng: random.Random) -> list[T]:
    """A sample, in the same order, in which no group has more than 15 % of the items. Where there are so few groups
    that this would leave little, twice an even share is allowed, at most half."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[group(item)].append(index)
    if len(groups) < 2:
        return list(items)
    sizes = [len(rows) for rows in groups.values()]
    allowed = max(_SHARE, min(0.5, 2 / len(sizes)))
    cap = next(c for c in range(max(sizes), 0, -1) if c <= allowed * sum(min(c, size) for size in sizes))
    kept = sorted(index for rows in groups.values() for index in rng.sample(rows, min(cap, len(rows))))
    return [items[index] for index in kept]
