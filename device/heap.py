"""How the C library keeps memory, in a process that runs for hours."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_HEAPS = 2
_APART_BYTES = 2**20
_MADV_COLLAPSE = 25  # Linux 6.1
_HUGE_PAGE = 2**21
_LARGE_BYTES = 4 * 2**20
_MAPPING = re.compile(
    r"^(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) rw-p [0-9a-f]+ 00:00 0 *(?:\[heap\])?\n"
    r"(?:(?!Rss).*\n)*Rss: +(?P<kb>\d+) kB$",
    re.MULTILINE,
)


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


def use_huge_pages() -> int:
    """Have Linux put what lies in large blocks now, models above all, on pages of 2 MiB; how many bytes it did.

    To be called once, behind loading: it takes 0.3 s for a language model, 1.2 s for the 490 MB of a conversation, and
    may be done on a thread of its own. Each token reads all of a language model's weights, on pages of 4 KiB with a
    look into the page tables for each: decoding is 4 % faster so. Where the kernel cannot, nothing changes.
    """
    if sys.platform != "linux":
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sum(size for start, size in _filled_blocks() if madvise(start, size, _MADV_COLLAPSE) == 0)


def _filled_blocks() -> Iterator[tuple[int, int]]:
    """Address and size of the whole huge pages in large anonymous mappings. What is hardly used (a thread's stack)
    would be filled with zeros, and is left out."""
    for found in _MAPPING.finditer(Path("/proc/self/smaps").read_text(encoding="utf-8")):
        start, end = int(found["start"], 16), int(found["end"], 16)
        first, last = -(-start // _HUGE_PAGE) * _HUGE_PAGE, end // _HUGE_PAGE * _HUGE_PAGE
        if end - start >= _LARGE_BYTES and 1024 * int(found["kb"]) >= 0.75 * (end - start):
            yield first, last - first
