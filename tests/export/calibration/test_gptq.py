"""GPTQ against plain rounding, on inputs that hang together as those of real layers do."""

from __future__ import annotations

import numpy as np
import pytest

from lorgnette.device.session import OnnxSession
from lorgnette.export.assembly import Assembly
from lorgnette.export.block_quantization import quantize
from lorgnette.export.calibration.gptq import gptq
from lorgnette.export.calibration.moments import Moments
from lorgnette.export.calibration.rounding import CalibratedRounding
from lorgnette.llm.bundle import ModelBundle


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_product_errs_less_than_with_plain_rounding(symmetric: bool) -> None:
    random = np.random.default_rng(0)
    inputs = random.standard_normal((400, 8)) @ random.standard_normal((8, 96)) + 0.3 * random.standard_normal(
        (400, 96)
    )
    x = inputs.astype(np.float32)
    matrix = random.standard_normal((48, 96)).astype(np.float32)
    exact = x @ matrix.T
    errors = [
        np.square(x @ blocks.dequantize().T - exact).mean()
        for blocks in (
            gptq(matrix, x.T @ x, 32, symmetric=symmetric),
            quantize(matrix, bits=4, symmetric=symmetric),
        )
    ]
    assert errors[0] < 0.6 * errors[1]


def test_inputs_without_any_connection_are_rounded_plainly() -> None:
    matrix = np.random.default_rng(1).standard_normal((16, 64)).astype(np.float32)
    calibrated, plain = gptq(matrix, np.eye(64, dtype=np.float32), 32, symmetric=True), quantize(matrix, bits=4)
    np.testing.assert_array_equal(calibrated.scales, plain.scales)
    np.testing.assert_array_equal(calibrated.levels, plain.levels)


def test_inputs_that_never_occur_do_no_harm() -> None:
    matrix = np.random.default_rng(2).standard_normal((4, 32)).astype(np.float32)
    blocks = gptq(matrix, np.zeros((32, 32), np.float32), 32, symmetric=False)
    assert np.isfinite(blocks.dequantize()).all()


def test_moments_are_those_of_what_the_matrices_multiply(tiny: Assembly, bundle: ModelBundle) -> None:
    """The first layer's input is a norm of the embedding rows, which NumPy can do too."""
    config = tiny.language.config
    rows = [tiny.language.embedding[start : start + 9] for start in (0, 40)]
    moments = Moments(bundle.path("decoder_model_merged", ""), config, rows)
    gain = tiny.language.norm(0, "input_layernorm")
    x = np.concatenate(rows)
    normed = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + config.norm_epsilon) * gain
    found = moments.of("layers.0.qkv")
    assert found is not None
    np.testing.assert_allclose(found, normed.T @ normed, rtol=1e-4, atol=1e-3)
    last = moments.of("layers.1.down")
    assert last is not None and last.shape == (config.intermediate, config.intermediate)
    assert moments.of("head") is None
    assert not list(bundle.path("decoder_model_merged", "").parent.glob("tapped*"))
    rounding = CalibratedRounding(lambda: moments, symmetric=True)
    matrix = tiny.language.embedding[:, :64]
    np.testing.assert_array_equal(rounding(matrix, "head", 32).levels, quantize(matrix, bits=4).levels)


@pytest.fixture
def bundle(tiny_folder: object) -> ModelBundle:
    found = ModelBundle.open(tiny_folder)  # type: ignore[arg-type]
    assert OnnxSession(found.path("decoder_model_merged", ""))
    return found
