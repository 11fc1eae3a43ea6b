"""How the C library keeps memory, in a process that runs for hours."""

from __future__ import annotations

import ctypes
import sys

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_HEAPS = 2
_APART_BYTES = 2**20


def use_few_heaps() -> None:
    """Have glibc keep two heaps, not one for each thread, and give what is larger than a MiB back as soon as it is
    free; another C library is left as it is.

    The threads of a conversation each leave gaps in a heap of their own: in half an hour of `benchmarks/soak.py` the
    process grew to 1,250 MB and went on growing; with this it has 990 MB then, and 1,030 after two hours.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _HEAPS)
        mallopt(_M_MMAP_THRESHOLD, _APART_BYTES)
