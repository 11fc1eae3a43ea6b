"""Questions chosen so that always giving the commonest answer gains little."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_SHARE = 0.15


def balanced(items: Sequence[T], group: Callable[[T], str], rng: random.Random) -> list[T]:
    """A sample, in the same order, in which no group has more than 15 % of the items, or twice an even share of them
    where that is more. Where groups are too unequal for that, the largest is cut down to the second."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[group(item)].append(index)
    sizes = sorted((len(rows) for rows in groups.values()), reverse=True)
    if len(sizes) < 2:
        return list(items)
    allowed = max(_SHARE, 2 / len(sizes))
    cap = next((c for c in range(sizes[0], sizes[1], -1) if c <= allowed * sum(min(c, n) for n in sizes)), sizes[1])
    while cap > 1 and cap > allowed * sum(min(cap, n) for n in sizes):
        cap -= 1
    kept = sorted(index for rows in groups.values() for index in rng.sample(rows, min(cap, len(rows))))
    return [items[index] for index in kept]
