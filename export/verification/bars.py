"""What is good enough: the bars that a bundle has to meet before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorgnette.export.profile import Profile
from lorgnette.export.verification.checks import CacheFigures
from lorgnette.export.verification.comparison import Comparison

_FEATURE_COSINE, _FEATURE_DIFFERENCE = 0.9999, 1e-3
_AGREEMENT = {"fp16": 0.95, "int8": 0.90, "int4": 0.80, "int4f16": 0.80}
_CHUNKED = 1e-4
_PIXELS = 1 / 255


@dataclass(frozen=True, slots=True)
class Bar:
    """`measured` against `wanted`, in words; `met` is None where it could not be measured."""

    name: str
    wanted: str
    measured: str
    met: bool | None


def exact_bars(comparison: Comparison | None, why_not: str) -> list[Bar]:
    """fp32 against PyTorch; None where there is no PyTorch to compare with, for the reason `why_not`."""
    tokens = "fp32 chooses PyTorch's tokens"
    if comparison is None:
        return [Bar(tokens, "all", f"not measured: {why_not}", None)]
    share = comparison.agreement
    bars = [Bar(tokens, "all", f"{100 * share:.1f} %", share == 1.0)]
    if comparison.features is not None:
        found = comparison.features
        close = found.cosine >= _FEATURE_COSINE or found.max_difference <= _FEATURE_DIFFERENCE
        measured = f"{found.cosine:.6f}, {found.max_difference:.1e}"
        wanted = f"cosine >= {_FEATURE_COSINE}, or no number off by more than {_FEATURE_DIFFERENCE:g}"
        bars.append(Bar("fp32 image features are PyTorch's", wanted, measured, close))
    return bars


def rounding_bars(comparisons: Sequence[Comparison], precisions: Sequence[Sequence[str]]) -> list[Bar]:
    """Each quantized bundle against fp32; `precisions` are those of its parts, of which the roughest counts."""
    bars = []
    for comparison, names in zip(comparisons, precisions, strict=True):
        wanted = min(_AGREEMENT.get(name, 1.0) for name in names)
        met = comparison.agreement_or_near_tie >= wanted
        measured = f"{100 * comparison.agreement:.1f} %, with near-ties {100 * comparison.agreement_or_near_tie:.1f} %"
        bars.append(
            Bar(f"{comparison.name} chooses fp32's tokens", f">= {100 * wanted:.0f} % or near-ties", measured, met)
        )
    return bars


def cache_bars(figures: CacheFigures) -> list[Bar]:
    """Computing in pieces, and behind a prefix that is used again; measured in fp32."""
    return [
        Bar("a prefix used again changes nothing", "0", f"{figures.reused:g}", figures.reused == 0),
        Bar(
            "a prompt in pieces gives the same",
            f"<= {_CHUNKED:g}",
            f"{figures.chunked:.1e}",
            figures.chunked <= _CHUNKED,
        ),
    ]


def pixel_bars(difference: float | None, why_not: str) -> list[Bar]:
    """Our preprocessing against the reference processor's."""
    if difference is None:
        return [Bar("pixels are the processor's", "<= 1/255", f"not measured: {why_not}", None)]
    return [Bar("pixels are the processor's", "<= 1/255", f"{difference:.1e}", difference <= _PIXELS)]


def budget_bars(profile: Profile, memory_mb: float, first_token_s: float, tokens_per_s: float) -> list[Bar]:
    """What the bundle costs against the profile's budget: memory as measured, the others as estimated for the
    device."""
    budget = profile.budget
    return [
        Bar("memory", f"<= {budget.memory_mb:.0f} MB", f"{memory_mb:.0f} MB", memory_mb <= budget.memory_mb),
        Bar(
            f"first token on {profile.name} (estimate)",
            f"<= {budget.first_token_s:g} s",
            f"{first_token_s:.2f} s",
            first_token_s <= budget.first_token_s,
        ),
        Bar(
            f"decoding on {profile.name} (estimate)",
            f">= {budget.tokens_per_s:g} tokens/s",
            f"{tokens_per_s:.0f} tokens/s",
            tokens_per_s >= budget.tokens_per_s,
        ),
    ]
