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


@contextmanager
def reference_bundle(model: Assembly, beside: Path, *others: Precision) -> Iterator[ModelBundle]:
    """A bundle in the folder `beside`, gone afterwards: all parts in fp32, and the decoder in `others` too."""
    folder = Path(tempfile.mkdtemp(prefix=".reference.", dir=beside))
    try:
        yield assemble(model, folder, Plan(decoder=(FP32, *others)), "reference", "reference")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
