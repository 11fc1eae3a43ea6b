"""From a picture to the rows that stand for it in a language model's prompt."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lorgnette.device.frame import Frame
from lorgnette.device.session import Array, Session
from lorgnette.vision.preprocess import Preprocessor
from lorgnette.vision.resample import Pixels
from lorgnette.vision.tiles import Grid

_MASK = "pixel_attention_mask"


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """What the encoder will see: `pixels` uint8 [tiles, height, width, 3] in a `grid`. Two pictures that it cannot tell
    apart have the same `fingerprint`."""

    pixels: Pixels
    grid: Grid
    fingerprint: str


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """`features` is float32 [tokens, hidden], those of all tiles in order."""

    features: npt.NDArray[np.float32]
    encode_ns: int


class VisionEncoder:
    """A session with input `pixel_values` and output `image_features` [tiles, tokens, hidden].

    `pixel_values` is [1, 3, height, width], or [1, tiles, 3, height, width] with a `pixel_attention_mask` beside it.
    """

    def __init__(self, session: Session, preprocessor: Preprocessor) -> None:
        self._session = session
        self.preprocessor = preprocessor

    def with_tiles(self, most: int) -> VisionEncoder:
        """The same session, for at most so many tiles of a picture."""
        tiles = min(most, self.preprocessor.max_tiles)
        return VisionEncoder(self._session, replace(self.preprocessor, max_tiles=tiles))

    def prepare(self, frame: Frame) -> PreparedImage:
        """Resize and cut one picture."""
        pixels = self.preprocessor.resize(frame)
        fingerprint = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).hexdigest()
        return PreparedImage(pixels, self.preprocessor.grid(frame), fingerprint)

    def encode(self, image: PreparedImage) -> EncodedImage:
        """Encode one picture; `encode_ns` includes the normalising. Raises SessionError."""
        started_ns = time.monotonic_ns()
        wanted = self._session.inputs["pixel_values"]
        values = self.preprocessor.normalise(image.pixels).astype(wanted.dtype, copy=False)
        feeds: dict[str, Array] = {"pixel_values": values[None] if len(wanted.shape) == 5 else values}
        if _MASK in self._session.inputs:
            feeds[_MASK] = np.ones((1, *image.pixels.shape[:3]), np.bool_)
        features = self._session.run(feeds)["image_features"]
        rows = np.asarray(features, dtype=np.float32).reshape(-1, features.shape[-1])
        return EncodedImage(rows, time.monotonic_ns() - started_ns)
