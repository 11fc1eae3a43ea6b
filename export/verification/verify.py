"""A bundle by itself: whether its sessions are what the manifest says, run, and keep what any decoder has to keep."""

from __future__ import annotations

import numpy as np

from lorgnette.device.session import OnnxSession
from lorgnette.export.precision import BY_SUFFIX, Precision
from lorgnette.export.verification.bars import Bar, cache_bars
from lorgnette.export.verification.cases import cases
from lorgnette.export.verification.checks import check_cache
from lorgnette.export.verification.subject import Case, Subject
from lorgnette.llm.bundle import ModelBundle


def verify(bundle: ModelBundle) -> list[Bar]:
    """One bar for the files, two or three for each decoder, one for each image encoder."""
    prompts = cases(bundle)
    found = [Bar("every file has its hash", "yes", f"{len(bundle.files)} files", True)]
    seen = _precisions(bundle, "vision_encoder")
    for precision in seen:
        found.append(_features(bundle, precision, prompts[0]))
    for precision in _precisions(bundle, "decoder_model_merged"):
        subject = Subject(bundle, seen[0] if seen else None, precision)
        found.append(_logits(bundle, precision, subject, prompts[0]))
        # Rounded activations differ with what is computed beside them, so pieces are held against the whole in fp32.
        bars = cache_bars(check_cache(subject, prompts[0]))
        bars = bars if precision.name == "fp32" else bars[:1]
        found += [Bar(f"{precision.name}: {bar.name}", bar.wanted, bar.measured, bar.met) for bar in bars]
    return found


def _precisions(bundle: ModelBundle, role: str) -> list[Precision]:
    """Those that a session is there in, the default first."""
    suffixes = {file.suffix for file in bundle.files if file.role == role}
    return sorted((BY_SUFFIX[one] for one in suffixes), key=lambda one: one.suffix != bundle.default_suffix.get(role))


def _features(bundle: ModelBundle, precision: Precision, case: Case) -> Bar:
    assert case.pixels is not None
    rows = Subject(bundle, precision, _precisions(bundle, "decoder_model_merged")[0]).features(case.pixels)
    wanted = (len(case.pixels) * bundle.prompt.tokens_per_image, bundle.decoder.hidden)
    name = f"image encoder in {precision.name} gives rows"
    return Bar(name, f"{wanted}, finite", f"{rows.shape}", rows.shape == wanted and bool(np.isfinite(rows).all()))


def _logits(bundle: ModelBundle, precision: Precision, subject: Subject, case: Case) -> Bar:
    logits = subject.logits(case, [])
    layers = sum(
        name.endswith(".key") for name in OnnxSession(bundle.path("decoder_model_merged", precision.suffix)).inputs
    )
    good = logits.shape[-1] == bundle.decoder.vocabulary and layers == bundle.decoder.layers
    measured = f"{logits.shape[-1]} of {layers} layers"
    wanted = f"{bundle.decoder.vocabulary} of {bundle.decoder.layers} layers, finite"
    return Bar(f"decoder in {precision.name} gives logits", wanted, measured, good and bool(np.isfinite(logits).all()))
