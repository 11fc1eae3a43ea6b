"""A process with many threads keeps two heaps, gives large memory back, and has its models on huge pages: on Linux."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

_MANY_THREADS = """
import ctypes, re, sys, threading
from lorgnette.device.heap import use_few_heaps
if sys.argv[1] == "few":
    use_few_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
ready = threading.Barrier(12)
def work():
    ready.wait()
    for _ in range(100):
        ctypes.memset(libc.malloc(10_000), 1, 10_000)
    ready.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
maps = open("/proc/self/maps").read()
heaps = [start for start in re.findall(r"^([0-9a-f]+)-[0-9a-f]+ rw-p 00000000 00:00 0 *$", maps, re.M)
         if int(start, 16) % 2**26 == 0]
print(len(heaps))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is nothing to set without glibc")
def test_threads_share_heaps() -> None:
    def heaps(kind: str) -> int:
        command = [sys.executable, "-c", _MANY_THREADS, kind]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert heaps("few") <= 1, "the main one is not counted"
    assert heaps("many") > 1


_LARGE_BLOCKS = """
import mmap, re
from lorgnette.device.heap import use_huge_pages
huge = lambda: int(re.search(r"AnonHugePages: +(\\d+) kB", open("/proc/self/smaps_rollup").read())[1]) * 1024
block = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, len(block), 4096):
    block[page:page + 8] = page.to_bytes(8)
before = huge()
moved = use_huge_pages()
assert all(block[page:page + 8] == page.to_bytes(8) for page in range(0, len(block), 4096))
print(moved, huge() - before)
"""


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="the kernel has no huge pages")
def test_what_is_in_use_moves_to_huge_pages_and_stays_what_it_was() -> None:
    command = [sys.executable, "-c", _LARGE_BLOCKS]
    moved, gained = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    if not moved:
        pytest.skip("the kernel cannot move memory to huge pages on demand")
    assert 62 * 2**20 <= gained <= moved <= 80 * 2**20
