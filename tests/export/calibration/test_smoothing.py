"""A smoothed decoder is the same model, and one that suffers less from being rounded by rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lorgnette.device.session import OnnxSession
from lorgnette.export.assembly import FP32, Assembly, Plan, assemble
from lorgnette.export.calibration.moments import Moments
from lorgnette.export.calibration.smoothing import smoothed
from lorgnette.export.llama import FloatArray, LlamaWeights
from lorgnette.export.precision import PRECISIONS
from lorgnette.export.whole_prompt import whole_prompt
from lorgnette.llm.bundle import ModelBundle

INT8 = PRECISIONS["int8"]


def uneven(weights: LlamaWeights) -> LlamaWeights:
    """The same model with two channels of each norm and each MLP forty times as large, and read by as much smaller
    weights."""
    tensors = {name: weights.tensors[name].copy() for name in weights.tensors}
    for name, tensor in tensors.items():
        if name.endswith("layernorm.weight") or "up_proj" in name:
            tensor[[3, 17]] *= 40
        if any(reader in name for reader in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj")):
            tensor[:, [3, 17]] /= 40
    return LlamaWeights(weights.config, tensors)


def written(model: Assembly, weights: LlamaWeights, folder: Path) -> ModelBundle:
    folder.mkdir()
    plan = Plan(decoder=(INT8, FP32), rowwise=True, share_table=False)
    return assemble(replace(model, language=weights), folder, plan, "test", "test")


def logits(bundle: ModelBundle, suffix: str, rows: FloatArray) -> FloatArray:
    session = OnnxSession(bundle.path("decoder_model_merged", suffix))
    return np.asarray(session.run(whole_prompt(session, rows, len(rows)))["logits"][0])


def test_the_model_is_the_same_and_rounds_better(tiny: Assembly, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    texts = [random.standard_normal((40, tiny.language.config.hidden)).astype(np.float32) for _ in range(2)]
    weights = uneven(tiny.language)
    plain = written(tiny, weights, tmp_path / "plain")
    moments = Moments(plain.path("decoder_model_merged", ""), weights.config, texts)
    even = written(tiny, smoothed(weights, moments), tmp_path / "even")
    exact = logits(plain, "", texts[0])
    assert np.abs(logits(even, "", texts[0]) - exact).max() < 1e-3 * np.abs(exact).max()
    errors = [np.square(logits(bundle, INT8.suffix, texts[0]) - exact).mean() for bundle in (even, plain)]
    assert errors[0] < 0.5 * errors[1]
    assert set(smoothed(weights, moments).tensors) == set(weights.tensors)
