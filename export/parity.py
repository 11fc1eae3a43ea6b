"""How far a quantized decoder is from the fp32 one: KL divergence and agreement of the first choice, text by text.

Greedy continuations are a poor judge (one near-tie and they part for good); distributions at given positions are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import LorgnetteError
from lorgnette.device.session import OnnxSession
from lorgnette.export.llama import FloatArray
from lorgnette.export.whole_prompt import whole_prompt
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.tokenizer import Tokenizer


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
                "use another precision, such as --decoder fp32",
            )


# What the parity figures are measured on: questions and answers as a model meets them, and plain prose.
_PARITY_TEXTS = (
    ("What is in this picture?", "A brown dog is running through the grass with a ball in its mouth."),
    ("Is there a bicycle?", "No, there is no bicycle in the picture."),
    ("How many people are there and what are they doing?", "Two men in red jackets are skiing down a hill."),
    ("What does the harbour look like?", "It is quiet, and the boats lie still, waiting for the tide to turn."),
    ("How do I boil an egg?", "Bring water to a simmer, lower the egg in with a spoon, and wait for seven minutes."),
)


def rounding_figures(bundle: ModelBundle, exact: ModelBundle, worst_kl: float) -> dict[str, float]:
    """The figures of the manifest: `mean_kl`, `top1` and `positions` of every decoder of `bundle` that is not fp32,
    against the fp32 one of `exact`. Of those that are not the default, the names start with their suffix.

    Raises `ParityError` for more than `worst_kl` nats.
    """
    tokenizer = Tokenizer(bundle.path("tokenizer"))
    embed = OnnxSession(exact.path("embed_tokens", ""))
    template, texts = bundle.prompt, []
    for question, answer in _PARITY_TEXTS:
        text = template.opening + template.before_question + question + template.end_of_question + answer
        ids = np.array([tokenizer.template_ids(text)], np.int64)
        texts.append(np.asarray(embed.run({"input_ids": ids})["inputs_embeds"][0], np.float32))
    figures: dict[str, float] = {}
    for file in bundle.files:
        if file.role != "decoder_model_merged" or not file.suffix:
            continue
        found = compare(exact.path(file.role, ""), bundle.folder / file.name, texts)
        found.check(worst_kl, file.name)
        prefix = "" if file.suffix == bundle.default_suffix[file.role] else f"{file.suffix.strip('_')}_"
        figures |= {f"{prefix}{name}": float(value) for name, value in asdict(found).items()}
    return figures


def compare(reference: Path, candidate: Path, texts: Sequence[FloatArray]) -> Parity:
    """Compare the decoders' logits at every position; `texts` are embedded prompts f32 [S, H]."""
    expected = _log_probabilities(reference, texts)
    actual = _log_probabilities(candidate, texts)
    divergences = [(np.exp(p) * (p - q)).sum(axis=-1) for p, q in zip(expected, actual, strict=True)]
    same = [p.argmax(axis=-1) == q.argmax(axis=-1) for p, q in zip(expected, actual, strict=True)]
    kl = np.concatenate(divergences)
    return Parity(float(kl.mean()), float(np.concatenate(same).mean()), len(kl))


def _log_probabilities(path: Path, texts: Sequence[FloatArray]) -> list[npt.NDArray[np.float64]]:
    session = OnnxSession(path)
    return [log_softmax(session.run(whole_prompt(session, rows, 0))["logits"][0]) for rows in texts]


def log_softmax(logits: FloatArray) -> npt.NDArray[np.float64]:
    """Natural logarithms of the probabilities of each row [n, vocabulary]."""
    rows = logits.astype(np.float64)
    rows -= rows.max(axis=-1, keepdims=True)
    return np.asarray(rows - np.log(np.exp(rows).sum(axis=-1, keepdims=True)))
