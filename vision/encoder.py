"""From a picture to the rows that stand for it in a language model's prompt."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorgnette.device.frame import Frame
from lorgnette.device.session import Session
from lorgnette.vision.preprocess import Preprocessor


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """`features` is float32 [tokens, hidden]; `fingerprint` names the picture by what the encoder saw of it."""

    features: npt.NDArray[np.float32]
    fingerprint: str
    encode_ns: int


class VisionEncoder:
    """A session with input `pixel_values` [1, 3, height, width] and output `image_features` [1, tokens, hidden]."""

    def __init__(self, session: Session, preprocessor: Preprocessor) -> None:
        self._session = session
        self._preprocessor = preprocessor

    def fingerprint(self, frame: Frame) -> str:
        """A hash of the resized pixels: two pictures that the encoder cannot tell apart have the same."""
        return _fingerprint(self._preprocessor.resize(frame))

    def encode(self, frame: Frame) -> EncodedImage:
        """Encode one picture; `encode_ns` includes the preprocessing. Raises SessionError."""
        started_ns = time.monotonic_ns()
        pixels = self._preprocessor.resize(frame)
        dtype = self._session.inputs["pixel_values"].dtype
        outputs = self._session.run({"pixel_values": self._preprocessor.normalise(pixels).astype(dtype, copy=False)})
        features = np.asarray(outputs["image_features"][0], dtype=np.float32)
        return EncodedImage(features, _fingerprint(pixels), time.monotonic_ns() - started_ns)


def _fingerprint(pixels: npt.NDArray[np.uint8]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).hexdigest()
