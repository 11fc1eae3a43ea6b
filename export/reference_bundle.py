"""A model in fp32 as a bundle of its own, for as long as others are held against it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lorgnette.export.assembly import FP32, Assembly, Plan, assemble
from lorgnette.export.precision import Precision
from lorgnette.llm.bundle import ModelBundle

_PREFIX = ".reference."


@contextmanager
def reference_bundle(model: Assembly, beside: Path, *others: Precision) -> Iterator[ModelBundle]:
    """A bundle in the folder `beside`, gone afterwards: all parts in fp32, and the decoder in `others` too. What a
    killed process left there of one is removed."""
    for left in beside.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=beside))
    try:
        yield assemble(model, folder, Plan(decoder=(FP32, *others)), "reference", "reference")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
