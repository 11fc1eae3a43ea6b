"""The precisions in which a part of a bundle can be stored, under the names that people give them.

Imports no ONNX and no numpy, so that asking "is the bundle ready?" costs a question nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorgnette.device.errors import InputError


@dataclass(frozen=True, slots=True)
class Precision:
    """`suffix` is that of the files, as transformers.js spells it. `bits` are those of a matrix's weight (32 and 16 are
    floats); `half` says that everything else, keys and values included, is float16 instead of float32."""

    name: str
    suffix: str
    bits: int
    half: bool = False

    @property
    def quantized(self) -> bool:
        return self.bits <= 8


PRECISIONS = {
    one.name: one
    for one in (
        Precision("fp32", "", 32),
        Precision("fp16", "_fp16", 16, half=True),
        Precision("int8", "_quantized", 8),
        Precision("int4", "_q4", 4),
        Precision("int4f16", "_q4f16", 4, half=True),
    )
}
BY_SUFFIX = {precision.suffix: precision for precision in PRECISIONS.values()}


def precision(name: str) -> Precision:
    """Raises InputError for a name that is not known."""
    if name not in PRECISIONS:
        raise InputError(f"precision {name!r} is not known", f"choose from: {', '.join(PRECISIONS)}")
    return PRECISIONS[name]
