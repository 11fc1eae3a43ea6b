"""What the figures were measured on, in one line."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """Processor, cores, load and Python, such as "Intel Xeon @ 2.50GHz, 2 cores, load 0.1, Python 3.11.7"."""
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
