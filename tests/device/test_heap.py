"""A process with many threads keeps two heaps, and gives large memory back. Linux with glibc only."""

from __future__ import annotations

import platform
import subprocess
import sys

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
