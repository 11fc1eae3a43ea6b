"""Two bundles of the same model against each other, each in its default precisions."""

from __future__ import annotations

from lorgnette.device.errors import InputError
from lorgnette.export.precision import BY_SUFFIX
from lorgnette.export.verification.cases import cases
from lorgnette.export.verification.comparison import compare, record
from lorgnette.export.verification.speed import measure
from lorgnette.export.verification.subject import Subject
from lorgnette.llm.bundle import ModelBundle

_TOKENS = 30


def compare_bundles(one: ModelBundle, other: ModelBundle) -> dict[str, float | str]:
    """Figures of `other` against `one`, and what each costs. Raises InputError if they are of different models."""
    if one.prompt != other.prompt or one.decoder.vocabulary != other.decoder.vocabulary:
        raise InputError(
            f"{one.folder} and {other.folder} are of different models", "compare exports of one checkpoint"
        )
    prompts = cases(one)
    found = compare(str(other.folder), _subject(other), record(str(one.folder), _subject(one), prompts, _TOKENS))
    figures: dict[str, float | str] = {
        "mean_kl": found.mean_kl,
        "agreement": found.agreement,
        "agreement_or_near_tie": found.agreement_or_near_tie,
    }
    if found.features is not None:
        figures |= {"feature_cosine": found.features.cosine, "feature_difference": found.features.max_difference}
    for name, bundle in (("first", one), ("second", other)):
        speed = measure(bundle.folder)
        figures |= {
            f"{name}_megabytes": sum(file.size for file in bundle.files) / 1e6,
            f"{name}_memory_mb": speed.memory_mb,
            f"{name}_first_token_s": speed.first_token_s,
            f"{name}_tokens_per_s": speed.tokens_per_s,
        }
    return figures


def _subject(bundle: ModelBundle) -> Subject:
    defaults = bundle.default_suffix
    seen = BY_SUFFIX[defaults["vision_encoder"]] if bundle.preprocessing is not None else None
    return Subject(bundle, seen, BY_SUFFIX[defaults["decoder_model_merged"]])
