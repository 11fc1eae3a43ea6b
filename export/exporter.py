"""From a checkpoint to a bundle for a device: written, compared with its model, measured, and refused if it falls
short."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import time
from dataclasses import asdict, replace
from pathlib import Path

from lorgnette.device.errors import LorgnetteError
from lorgnette.export.architectures.registry import read_model
from lorgnette.export.assembly import FP32, Assembly, Plan, Progress, assemble
from lorgnette.export.bundle_folder import locked, replacing
from lorgnette.export.calibration.moments import Moments
from lorgnette.export.calibration.rounding import CalibratedRounding
from lorgnette.export.calibration.texts import calibration_texts
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.precision import PRECISIONS, Precision
from lorgnette.export.profile import Profile
from lorgnette.export.provenance import provenance
from lorgnette.export.reference_bundle import reference_bundle
from lorgnette.export.sources import is_current
from lorgnette.export.verification.bars import (
    Bar,
    budget_bars,
    cache_bars,
    exact_bars,
    pixel_bars,
    rounding_bars,
)
from lorgnette.export.verification.cases import cases
from lorgnette.export.verification.checks import CacheFigures, check_cache
from lorgnette.export.verification.comparison import Comparison, Recording, compare, record
from lorgnette.export.verification.estimate import estimate
from lorgnette.export.verification.memory import peak_memory_mb
from lorgnette.export.verification.page import make_page
from lorgnette.export.verification.report import PAGE, REPORT, Findings, make_report
from lorgnette.export.verification.speed import measure
from lorgnette.export.verification.subject import Case, Model, Remembered, Subject
from lorgnette.llm.bundle import ModelBundle, hash_file
from lorgnette.llm.manifest import BundleFile, Preprocessing

BUILDER = "exporter-3"
_TOKENS = 30
_SPEAKER = (PRECISIONS["int8"],)  # what draws the texts to calibrate on: three times as fast as fp32


class QualityError(LorgnetteError):
    """A bundle that was written misses a bar; it is not kept."""


def export_checkpoint(
    checkpoint: Checkpoint,
    out: Path,
    profile: Profile,
    progress: Progress = lambda stage, done: None,
    *,
    with_pytorch: bool = True,
    keep_anyway: bool = False,
    force: bool = False,
) -> ModelBundle:
    """Make the bundle at `out` with its report, or open the one there if it was made of the same.

    `with_pytorch` compares with transformers' model where that is installed. Raises `QualityError` if a bar is missed,
    unless `keep_anyway`; `out` is then as it was, as with any other error.
    """
    inputs = _inputs(checkpoint, profile)
    with locked(out):
        if not force and is_current(out, inputs):
            return ModelBundle.open(out)
        with replacing(out, inputs) as folder:
            started = time.monotonic()
            progress("reading the checkpoint", 0.0)
            whole = read_model(checkpoint)
            model = _limited(whole, profile)
            with reference_bundle(model, folder.parent, *_SPEAKER) as exact:
                made_with = provenance() | {"source": checkpoint.origin.name, "revision": checkpoint.origin.revision}
                told = functools.partial(_within, progress, 0.3, 0.5)
                bundle = assemble(
                    model,
                    folder,
                    profile.plan(),
                    BUILDER,
                    inputs,
                    told,
                    made_with,
                    # Not kept: what the layers saw takes half a gigabyte.
                    _rounding(model, exact, profile, progress),
                )
                took = time.monotonic() - started, peak_memory_mb()
                findings = _examine(bundle, exact, checkpoint, profile, with_pytorch, progress)
                pixels = _pixel_bars(whole.preprocessing, checkpoint)
            bars = [*findings.bars, *pixels]
            findings = replace(findings, bars=bars, export_s=took[0], export_mb=took[1])
            if findings.missed and not keep_anyway:
                raise _refusal(findings.missed, out)
            _add_report(bundle, profile, findings)
    progress("done", 1.0)
    return ModelBundle.open(out)


def _inputs(checkpoint: Checkpoint, profile: Profile) -> str:
    """The hash of everything that decides what is written."""
    config = json.dumps(checkpoint.config, sort_keys=True)
    files = dict(checkpoint.origin.files)
    parts = json.dumps([BUILDER, asdict(profile), config, files, checkpoint.origin.lora != ""], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()


def _limited(model: Assembly, profile: Profile) -> Assembly:
    """The model with no more context and tiles than the device is to carry."""
    if profile.context:
        config = model.language.config
        config = replace(config, context=min(config.context, profile.context))
        model = replace(model, language=replace(model.language, config=config))
    if profile.max_tiles and model.preprocessing is not None:
        tiles = min(model.preprocessing.max_tiles, profile.max_tiles)
        model = replace(model, preprocessing=replace(model.preprocessing, max_tiles=tiles))
    return model


def _within(progress: Progress, start: float, end: float, stage: str, done: float) -> None:
    progress(stage, start + (end - start) * done)


def _rounding(model: Assembly, exact: ModelBundle, profile: Profile, progress: Progress) -> CalibratedRounding | None:
    """Calibrated on what the model itself says, once something is rounded by that."""
    if not profile.calibrated:
        return None

    def moments() -> Moments:
        progress("hearing what the model says", 0.35)
        seen = FP32 if exact.preprocessing is not None else None
        texts = calibration_texts(exact, Subject(exact, seen, *_SPEAKER))
        return Moments(exact.path("decoder_model_merged", ""), model.language.config, texts)

    return CalibratedRounding(moments, symmetric=profile.symmetric)


def _examine(
    bundle: ModelBundle,
    exact: ModelBundle,
    checkpoint: Checkpoint,
    profile: Profile,
    with_pytorch: bool,
    progress: Progress,
) -> Findings:
    prompts = cases(bundle)
    vision = FP32 if bundle.preprocessing is not None else None
    progress("asking PyTorch", 0.5)
    recorded, why_not = _record_pytorch(bundle, prompts, checkpoint) if with_pytorch else (None, "not asked for")
    progress("comparing fp32 with PyTorch", 0.65)
    against, cache, reference = _exactly(Subject(exact, vision, FP32), prompts, recorded)
    bars = [*exact_bars(against, why_not), *cache_bars(cache)]
    rounded = []
    choices = _choices(bundle, profile.plan())
    for step, (seen, said) in enumerate(choices):
        name = said.name if seen is None or seen == said else f"{said.name} with an image encoder in {seen.name}"
        progress(f"comparing {name} with fp32", 0.7 + 0.2 * step / len(choices))
        rounded.append(compare(name, Subject(bundle, seen, said), reference))
    bars += rounding_bars(rounded, [[part.name for part in pair if part is not None] for pair in choices])
    progress("measuring its speed", 0.9)
    speed = measure(bundle.folder, profile.threads)
    estimated = estimate(bundle, profile.device)
    bars += budget_bars(profile, speed.memory_mb, *estimated)
    return Findings([*([against] if against else []), *rounded], bars, speed, estimated, _machine())


def _exactly(
    subject: Subject, prompts: list[Case], recorded: Recording | None
) -> tuple[Comparison | None, CacheFigures, Recording]:
    """The sessions in fp32 against PyTorch, by themselves, and what they do. They are gone afterwards."""
    remembered = Remembered(subject)  # its tokens are PyTorch's, as a rule, and need not be computed again
    against = compare("fp32", remembered, recorded) if recorded else None
    return against, check_cache(subject, prompts[0]), record("fp32", remembered, prompts, _TOKENS)


def _choices(bundle: ModelBundle, plan: Plan) -> list[tuple[Precision | None, Precision]]:
    """The pairs of precisions to look at: each decoder with the default encoder, each other encoder with the default
    decoder."""
    if bundle.preprocessing is None:
        return [(None, said) for said in plan.decoder if said != FP32]
    pairs = [(plan.vision[0], said) for said in plan.decoder] + [(seen, plan.decoder[0]) for seen in plan.vision[1:]]
    return [(seen, said) for seen, said in pairs if (seen, said) != (FP32, FP32)]


def _record_pytorch(bundle: ModelBundle, prompts: list[Case], checkpoint: Checkpoint) -> tuple[Recording | None, str]:
    """What the model does in PyTorch, or why that is not known. PyTorch's copy of the weights is gone afterwards."""
    try:
        reference = _pytorch(checkpoint, bundle.prompt.stop_ids)
    except ImportError:
        return None, "PyTorch and transformers are not installed (pip install 'lorgnette[export]')"
    except LorgnetteError as error:
        return None, str(error)
    return record("PyTorch", reference, prompts, _TOKENS), ""


def _pytorch(checkpoint: Checkpoint, stop_ids: tuple[int, ...]) -> Model:
    if checkpoint.described is not None:
        from lorgnette.export.gguf_reference import GgufReference

        return GgufReference(checkpoint, stop_ids)
    from lorgnette.export.verification.pytorch_reference import PytorchReference

    return PytorchReference(checkpoint, stop_ids)


def _pixel_bars(preprocessing: Preprocessing | None, checkpoint: Checkpoint) -> list[Bar]:
    """With as many tiles as the model itself takes: a profile may allow fewer than the reference makes."""
    if preprocessing is None:
        return []
    try:
        from lorgnette.export.verification.reference_processor import pixel_difference

        return pixel_bars(pixel_difference(checkpoint, preprocessing), "")
    except ImportError:
        return pixel_bars(None, "transformers is not installed")
    except ValueError as error:
        return pixel_bars(None, str(error))


def _refusal(missed: list[Bar], out: Path) -> QualityError:
    first = missed[0]
    others = f", and {len(missed) - 1} more" if len(missed) > 1 else ""
    return QualityError(
        f"{out} is not written: {first.name}: {first.measured}, wanted {first.wanted}{others}",
        "take another precision or profile, or keep it all the same with --keep-anyway",
    )


def _add_report(bundle: ModelBundle, profile: Profile, findings: Findings) -> None:
    report = make_report(bundle, profile, findings)
    contents = {REPORT: json.dumps(report, indent=1, ensure_ascii=False) + "\n", PAGE: make_page(report)}
    files = list(bundle.files)
    for name, content in contents.items():
        path = bundle.folder / name
        path.write_text(content, encoding="utf-8")
        files.append(BundleFile(name, "client", "", path.stat().st_size, hash_file(path)))
    measured = {f"{one.name}_mean_kl": one.mean_kl for one in findings.comparisons}
    replace(bundle, files=tuple(files), parity=dict(bundle.parity) | measured).write_manifest()


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} cores"
