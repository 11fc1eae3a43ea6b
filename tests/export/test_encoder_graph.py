"""What a cell of the picture is described by: the fine channels and the named colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorgnette.device.session import OnnxSession
from lorgnette.export.assembly import Assembly
from lorgnette.export.encoder_graph import COLOURS, channels, encoder_model

SIDE = 64


@pytest.fixture
def encode(tiny: Assembly, tmp_path: Path) -> object:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(encoder_model(tiny.vision.encoder, SIDE).SerializeToString())
    session = OnnxSession(path)

    def run(rgb: np.ndarray) -> np.ndarray:
        """Channels [C, 2, 2] of RGB uint8 [64, 64, 3]."""
        pixels = (rgb.astype(np.float32) - 127) / 128
        return session.run({"pixel_values": pixels.transpose(2, 0, 1)[None]})["features"][0]

    return run


def colours(features: np.ndarray) -> np.ndarray:
    """Shares [quarters of a cell (rows first), colours, 2, 2], which sum to one."""
    named = features[-4 * len(COLOURS) :].reshape(4, len(COLOURS), 2, 2)
    return named / named.sum(1, keepdims=True)


def test_a_quarter_holds_the_colour_that_is_there(encode, tiny: Assembly) -> None:  # type: ignore[no-untyped-def]
    picture = np.full((SIDE, SIDE, 3), 245, np.uint8)
    picture[0:16, 48:64] = (210, 30, 35)  # upper right cell, its upper right quarter
    features = encode(picture)
    assert features.shape == (channels(tiny.vision.encoder), 2, 2)
    shares = colours(features)
    names = list(COLOURS)
    assert names[shares[1, :, 0, 1].argmax()] == "red" and shares[1, :, 0, 1].max() > 0.8
    white = shares[:, names.index("white")]
    assert white[1, 0, 1] < 0.05 and np.sort(white.ravel())[1] > 0.8


@pytest.mark.parametrize("name", list(COLOURS))
def test_every_colour_is_called_by_its_name(encode, name: str) -> None:  # type: ignore[no-untyped-def]
    picture = np.tile(np.array([[COLOURS[name]]]) * 255, (SIDE, SIDE, 1)).astype(np.uint8)
    assert list(COLOURS)[colours(encode(picture))[0, :, 0, 0].argmax()] == name


def test_fine_channels_are_of_one_size(encode, tiny: Assembly) -> None:  # type: ignore[no-untyped-def]
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    features = encode(picture)
    head = tiny.vision.encoder["_conv_head.weight"].shape[0]
    fine = features[head : -4 * len(COLOURS)].reshape(4, -1, 2, 2)
    np.testing.assert_allclose(np.sqrt((fine**2).mean(1)), 1.0, atol=1e-3)
