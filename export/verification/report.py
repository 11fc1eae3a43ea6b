"""The report of an export: what was compared and measured, against which bars, as records for JSON and for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenizers import Tokenizer

from lorgnette.export.profile import Profile
from lorgnette.export.verification.bars import Bar
from lorgnette.export.verification.comparison import NEAR_TIE, AnswerFigures, Comparison
from lorgnette.export.verification.speed import SpeedFigures
from lorgnette.llm.bundle import ModelBundle

SPEC = 1
REPORT, PAGE = "report.json", "report.html"

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of a bundle. `estimated` are seconds to the first token and tokens a second on the profile's
    device; `export_s` and `export_mb` what the export took (0: this was a later look)."""

    comparisons: Sequence[Comparison]
    bars: Sequence[Bar]
    speed: SpeedFigures
    estimated: tuple[float, float] | None
    machine: str
    export_s: float = 0.0
    export_mb: float = 0.0

    @property
    def missed(self) -> list[Bar]:
        return [bar for bar in self.bars if bar.met is False]


def make_report(bundle: ModelBundle, profile: Profile | None, findings: Findings) -> Record:
    """The report as JSON takes it."""
    tokenizer = Tokenizer.from_file(str(bundle.path("tokenizer")))
    return {
        "spec": SPEC,
        "name": bundle.name,
        "profile": profile.name if profile else bundle.profile,
        "made_of": [asdict(part) for part in bundle.parts],
        "made_with": dict(bundle.provenance),
        "machine": findings.machine,
        "files": [
            {"name": file.name, "role": file.role, "suffix": file.suffix, "bytes": file.size} for file in bundle.files
        ],
        "bars": [asdict(bar) for bar in findings.bars],
        "speed": asdict(findings.speed),
        "estimate": _estimate(profile, findings.estimated),
        "export": {"seconds": round(findings.export_s, 1), "peak_memory_mb": round(findings.export_mb)},
        "near_tie_nats": NEAR_TIE,
        "comparisons": [_comparison(one, tokenizer) for one in findings.comparisons],
    }


def _estimate(profile: Profile | None, estimated: tuple[float, float] | None) -> Record | None:
    if profile is None or estimated is None:
        return None
    return {
        "device": profile.summary,
        "first_token_s": estimated[0],
        "tokens_per_s": estimated[1],
        "gflops": profile.device.gflops,
        "bandwidth_gbs": profile.device.bandwidth_gbs,
    }


def _comparison(comparison: Comparison, tokenizer: Tokenizer) -> Record:
    features = comparison.features
    return {
        "model": comparison.name,
        "reference": comparison.reference,
        "agreement": round(comparison.agreement, 4),
        "agreement_or_near_tie": round(comparison.agreement_or_near_tie, 4),
        "mean_kl": comparison.mean_kl,
        "features": asdict(features) if features else None,
        "answers": [_answer(one, tokenizer) for one in comparison.answers],
    }


def _answer(answer: AnswerFigures, tokenizer: Tokenizer) -> Record:
    def words(ids: Sequence[int]) -> list[str]:
        return [tokenizer.decode([one], skip_special_tokens=False) for one in ids]

    return {
        "picture": answer.case.picture,
        "question": answer.case.question,
        "tiles": 0 if answer.case.pixels is None else len(answer.case.pixels),
        "prompt_tokens": len(answer.case.ids),
        "expected": list(answer.expected),
        "actual": list(answer.actual),
        "expected_words": words(answer.expected),
        "actual_words": words(answer.actual),
        "flips": [asdict(flip) for flip in answer.flips],
        "mean_kl": answer.mean_kl,
        "nll_difference": answer.nll_difference,
    }


def summary(report: Mapping[str, Any]) -> list[str]:
    """The report in a few lines for a terminal."""
    size = sum(file["bytes"] for file in report["files"]) / 1e6
    speed = report["speed"]
    lines = [
        f"{report['name']} for {report['profile'] or 'any device'}: {size:.0f} MB",
        f"{speed['gpu'] or 'here'}: first token {speed['first_token_s']:.2f} s, {speed['tokens_per_s']:.0f} tokens/s,"
        f" {speed['memory_mb']:.0f} MB of memory",
    ]
    marks = {True: "met   ", False: "MISSED", None: "  -   "}
    lines += [
        f"{marks[bar['met']]}  {bar['name']}: {bar['measured']} (wanted {bar['wanted']})" for bar in report["bars"]
    ]
    return lines
