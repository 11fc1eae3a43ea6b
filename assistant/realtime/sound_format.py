"""The forms in which sound travels: 16-bit PCM at 24 kHz and the two laws of the telephone (G.711) at 8 kHz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from lorgnette.device.wav import from_pcm16, pcm16

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """`decode` and `encode` translate between bytes and float32 samples in [-1, 1] at `rate_hz`."""

    name: str
    rate_hz: int
    sample_bytes: int
    decode: Callable[[bytes], Samples]
    encode: Callable[[Samples], bytes]


def _law(levels: Callable[[], npt.NDArray[np.int32]]) -> tuple[Callable[[bytes], Samples], Callable[[Samples], bytes]]:
    """Both directions of a law whose 256 codes mean `levels`, as 16-bit numbers: a sample becomes the nearest."""

    def decode(data: bytes) -> Samples:
        return (levels()[np.frombuffer(data, np.uint8)] / np.float32(32768.0)).astype(np.float32)

    def encode(samples: Samples) -> bytes:
        codes = np.argsort(levels(), kind="stable")
        sorted_levels = levels()[codes]
        middles = (sorted_levels[1:] + sorted_levels[:-1]) / 2
        return codes[np.searchsorted(middles, pcm16(samples))].astype(np.uint8).tobytes()

    return decode, encode


@cache
def _mu_levels() -> npt.NDArray[np.int32]:
    """ITU-T G.711, table 2: sign, three bits of segment, four of step; all bits are sent inverted."""
    code = ~np.arange(256) & 0xFF
    size = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int32)


@cache
def _a_levels() -> npt.NDArray[np.int32]:
    """ITU-T G.711, table 1: the same fields; every other bit is sent inverted, and the sign bit means plus."""
    code = np.arange(256) ^ 0x55
    segment = (code & 0x70) >> 4
    step = ((code & 0x0F) << 4) + 8
    size = np.where(segment == 0, step, (step + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int32)


FORMATS = {
    one.name: one
    for one in (
        SoundFormat("audio/pcm", 24_000, 2, from_pcm16, lambda samples: pcm16(samples).tobytes()),
        SoundFormat("audio/pcmu", 8_000, 1, *_law(_mu_levels)),
        SoundFormat("audio/pcma", 8_000, 1, *_law(_a_levels)),
    )
}
