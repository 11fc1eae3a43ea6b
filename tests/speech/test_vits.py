"""A voice cut in two says what it says uncut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from lorgnette.device.session import OnnxSession
from lorgnette.speech.vits import VitsVoice

IDS = [1, 0, 20, 0, 14, 0, 30, 0, 59, 0, 24, 0, 3, 0, 19, 0, 33, 0, 61, 0, 26, 0, 120, 0, 17, 0, 39, 0, 10, 0, 2] * 3


@pytest.mark.weights
def test_pieces_are_the_whole(voice_dir: Path) -> None:
    (model,) = voice_dir.glob("*.onnx")
    pieces = list(VitsVoice(model).synthesize(IDS, 0.0, 1.0, 0.0))
    feeds = {
        "input": np.array([IDS], np.int64),
        "input_lengths": np.array([len(IDS)], np.int64),
        "scales": np.array([0.0, 1.0, 0.0], np.float32),
    }
    whole = OnnxSession(model).run(feeds)["output"].reshape(-1)
    assert len(pieces) > 2 and len(pieces[0]) < len(pieces[1]) < len(whole) / 2
    assert np.abs(np.concatenate(pieces) - whole).max() < 1e-4 * np.abs(whole).max()


@pytest.mark.weights
def test_a_voice_in_which_no_decoder_is_found_is_not_cut(voice_dir: Path, tmp_path: Path) -> None:
    (path,) = voice_dir.glob("*.onnx")
    model = onnx.load(path)
    next(node for node in model.graph.node if node.name == "/dec/conv_pre/Conv").name = "/elsewhere"
    onnx.save(model, tmp_path / "other.onnx")
    (sound,) = VitsVoice(tmp_path / "other.onnx").synthesize(IDS, 0.0, 1.0, 0.0)
    pieces = list(VitsVoice(path).synthesize(IDS, 0.0, 1.0, 0.0))
    assert np.abs(np.concatenate(pieces) - sound).max() < 1e-4 * np.abs(sound).max()
