"""How far a quantized decoder is from the fp32 one: KL divergence and agreement of the first choice, text by text.

Greedy continuations are a poor judge (one near-tie and they part for good); distributions at given positions are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import LorgnetteError
from lorgnette.device.session import Array, OnnxSession
from lorgnette.export.decoder_graph import LOGITS_KEPT
from lorgnette.export.llama import FloatArray, LlamaConfig


class ParityError(LorgnetteError):
    """A quantized model is too far from the exact one to be used."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Over `positions` next-token distributions p (fp32) and q: mean KL(p, q) in nats, and how often both agree on the
    most probable token."""

    mean_kl: float
    top1: float
    positions: int

    def check(self, worst_kl: float, precision: str) -> None:
        """Raises `ParityError` if `mean_kl` is above `worst_kl` nats, or not a number."""
        if not self.mean_kl <= worst_kl:
            raise ParityError(
                f"{precision} is too far from fp32: mean KL {self.mean_kl:.4f}, at most {worst_kl} is allowed",
                "use another precision, such as --precision fp32",
            )


def compare(reference: Path, candidate: Path, config: LlamaConfig, texts: Sequence[FloatArray]) -> Parity:
    """Compare the decoders' logits at every position; `texts` are embedded prompts f32 [S, H]."""
    expected = _log_probabilities(reference, config, texts)
    actual = _log_probabilities(candidate, config, texts)
    divergences = [(np.exp(p) * (p - q)).sum(axis=-1) for p, q in zip(expected, actual, strict=True)]
    same = [p.argmax(axis=-1) == q.argmax(axis=-1) for p, q in zip(expected, actual, strict=True)]
    kl = np.concatenate(divergences)
    return Parity(float(kl.mean()), float(np.concatenate(same).mean()), len(kl))


def _log_probabilities(path: Path, config: LlamaConfig, texts: Sequence[FloatArray]) -> list[npt.NDArray[np.float64]]:
    session = OnnxSession(path)
    shape = (1, config.kv_heads, 0, config.head_dim)
    cache = {name: np.zeros(shape, spec.dtype) for name, spec in session.inputs.items() if name.startswith("past_key")}
    results = []
    for embeds in texts:
        length = len(embeds)
        feeds: dict[str, Array] = {
            "inputs_embeds": embeds[None],
            "attention_mask": np.ones((1, length), np.int64),
            "position_ids": np.arange(length, dtype=np.int64)[None],
            LOGITS_KEPT: np.zeros(1, np.int64),
        }
        rows = session.run(feeds | cache)["logits"][0].astype(np.float64)
        rows -= rows.max(axis=-1, keepdims=True)
        results.append(rows - np.log(np.exp(rows).sum(axis=-1, keepdims=True)))
    return results
