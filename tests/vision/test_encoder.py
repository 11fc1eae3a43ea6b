"""The vision encoder on the tiny model, and on a session that is not ONNX Runtime's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lorgnette.device.frame import Frame
from lorgnette.device.session import Array, OnnxSession, SessionError, TensorSpec
from lorgnette.vision.encoder import VisionEncoder
from lorgnette.vision.preprocess import Preprocessor

TINY = Path(__file__).parents[1] / "models" / "tiny_vlm"
PREPROCESSOR = Preprocessor(128, 128, (127.0,) * 3, (128.0,) * 3)


def picture(seed: int) -> Frame:
    return Frame(np.random.default_rng(seed).integers(0, 256, (100, 150, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def encoder() -> VisionEncoder:
    return VisionEncoder(OnnxSession(TINY / "onnx" / "vision_encoder.onnx"), PREPROCESSOR)


def test_a_picture_becomes_rows(encoder: VisionEncoder) -> None:
    image = encoder.encode(encoder.prepare(picture(1)))
    assert image.features.shape == (16, 64)
    assert image.features.dtype == np.float32
    assert image.encode_ns > 0
    assert np.array_equal(image.features, encoder.encode(encoder.prepare(picture(1))).features)
    assert not np.allclose(image.features, encoder.encode(encoder.prepare(picture(2))).features)


def test_the_fingerprint_names_what_was_seen(encoder: VisionEncoder) -> None:
    assert encoder.prepare(picture(1)).fingerprint == encoder.prepare(picture(1)).fingerprint
    assert encoder.prepare(picture(1)).fingerprint != encoder.prepare(picture(2)).fingerprint
    changed = picture(1).pixels.copy()
    changed[50, 50] ^= 0xFF
    assert encoder.prepare(Frame(changed)).fingerprint != encoder.prepare(picture(1)).fingerprint
    later = Frame(picture(1).pixels, timestamp_ns=5)
    assert encoder.prepare(later).fingerprint == encoder.prepare(picture(1)).fingerprint


class HalfSession:
    """A session in half precision that returns the mean colour, four times."""

    def __init__(self) -> None:
        half = np.dtype(np.float16)
        self.inputs = {"pixel_values": TensorSpec("pixel_values", half, (1, 3, 128, 128))}
        self.outputs = {"image_features": TensorSpec("image_features", half, (1, 4, 3))}

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        assert feeds["pixel_values"].dtype == np.float16
        return {"image_features": np.repeat(feeds["pixel_values"].mean(axis=(2, 3))[:, None], 4, axis=1)}


def test_the_session_decides_the_precision() -> None:
    half = VisionEncoder(HalfSession(), PREPROCESSOR)
    image = half.encode(half.prepare(Frame(np.full((64, 64, 3), 255, np.uint8))))
    assert image.features == pytest.approx(np.ones((4, 3)))
    assert image.features.dtype == np.float32


def test_a_file_that_is_no_model_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    for name in ("broken.onnx", "missing.onnx"):
        with pytest.raises(SessionError, match=name):
            OnnxSession(tmp_path / name)


def test_pixel_values_of_another_shape_are_a_clear_error() -> None:
    session = OnnxSession(TINY / "onnx" / "vision_encoder.onnx")
    with pytest.raises(SessionError, match=r"vision_encoder\.onnx"):
        session.run({"pixel_values": np.zeros((1, 5, 128, 128), np.float32)})
    with pytest.raises(SessionError):
        session.run({"pixels": np.zeros((1, 3, 128, 128), np.float32)})
