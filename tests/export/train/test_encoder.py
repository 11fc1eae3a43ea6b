"""What training sees of a picture is what the exported model sees of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lorgnette.device.frame import Frame  # noqa: E402
from lorgnette.device.session import OnnxSession  # noqa: E402
from lorgnette.export.assembly import Assembly  # noqa: E402
from lorgnette.export.embedded import PREPROCESSING  # noqa: E402
from lorgnette.export.encoder_graph import encoder_model  # noqa: E402
from lorgnette.export.train.encoder import Encoder  # noqa: E402
from lorgnette.export.train.pictures import WHOLE, View, show  # noqa: E402
from lorgnette.vision.preprocess import Preprocessor  # noqa: E402

pytestmark = pytest.mark.torch
CPU = torch.device("cpu")


def test_the_encoder_is_its_onnx_graph(tiny: Assembly, tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(encoder_model(tiny.vision.encoder, 128).SerializeToString())
    pixels = np.random.default_rng(0).standard_normal((2, 3, 128, 128)).astype(np.float32)
    exported = OnnxSession(path).run({"pixel_values": pixels})["features"]
    with torch.no_grad():
        cells = Encoder(tiny.vision.encoder)(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(cells, exported.reshape(2, -1, 16).transpose(0, 2, 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("size", "largest"), [((640, 960), 0.02), ((240, 200), 0.2)])
def test_a_whole_picture_is_shown_as_the_runtime_shows_it(size: tuple[int, int], largest: float) -> None:
    """Enlarging, OpenCV takes a neighbouring pixel here and there."""
    coarse = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.float32)
    rows, columns = (np.linspace(0, 11, n).round().astype(int) for n in size)
    picture = coarse[rows][:, columns].astype(np.uint8)
    facts = PREPROCESSING
    runtime = Preprocessor(facts.width, facts.height, facts.mean, facts.std)
    wanted = runtime.normalise(runtime.resize(Frame(picture)))
    found = show(picture[None], [WHOLE], CPU).numpy()
    assert np.abs(found - wanted).mean() < largest * np.abs(wanted).mean()


def test_a_view_is_a_part_mirrored_and_lighter() -> None:
    picture = np.zeros((1, 40, 40, 3), np.uint8)
    picture[:, 10:20, 30:40] = 100
    (part,) = show(picture, [View(0.25, 0.5, 0.5, 1.0, mirrored=True, gain=1.5)], CPU)
    middle = part[0, part.shape[1] // 2] * 128 + 127
    quarter = part.shape[2] // 4
    assert middle[quarter] == pytest.approx(150, abs=0.01) and middle[-quarter] == pytest.approx(0, abs=0.01)
