"""From a model in memory to the files of its bundle, manifest and parity figures included."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from lorgnette.export.decoder_graph import DecoderWriter
from lorgnette.export.embedding_graph import write_embedding
from lorgnette.export.llama import FloatArray, LlamaWeights, WeightsFormatError
from lorgnette.export.parity import Parity, compare
from lorgnette.export.precision import PRECISIONS, Precision
from lorgnette.llm.bundle import ModelBundle, hash_file
from lorgnette.llm.manifest import SPEC, BundleFile, DecoderGeometry, Part, Preprocessing, PromptTemplate

FP32 = PRECISIONS["fp32"]
SESSIONS = "onnx"  # the folder of the sessions, where clients of the hub look for them

Progress = Callable[[str, float], None]

# What the parity figures are measured on: questions and answers as a model meets them, and plain prose.
_PARITY_TEXTS = (
    ("What is in this picture?", "A brown dog is running through the grass with a ball in its mouth."),
    ("Is there a bicycle?", "No, there is no bicycle in the picture."),
    ("How many people are there and what are they doing?", "Two men in red jackets are skiing down a hill."),
    ("What does the harbour look like?", "It is quiet, and the boats lie still, waiting for the tide to turn."),
    ("How do I boil an egg?", "Bring water to a simmer, lower the egg in with a spoon, and wait for seven minutes."),
)


class VisionPart(Protocol):
    """What turns pixels into embedding rows, `tokens` of them for each tile."""

    @property
    def tokens(self) -> int: ...

    def write(self, path: Path, precision: Precision) -> None:
        """Write the session `path`, and `path`_data if it needs one."""
        ...


@dataclass(frozen=True, slots=True)
class Assembly:
    """A language model in memory, or one that its arrays are read for when asked, with what it sees through.

    `vision` and `preprocessing` are None for a model of text alone. `client_files` are those that other programs read,
    by their path in the bundle. The rest is as in the manifest.
    """

    name: str
    language: LlamaWeights
    tokenizer: Tokenizer
    vision: VisionPart | None
    preprocessing: Preprocessing | None
    prompt: PromptTemplate
    parts: tuple[Part, ...]
    confidence: Mapping[str, float] = field(default_factory=dict)
    client_files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """In which precisions the parts are written; the first of each is the default.

    `table_bits` and `symmetric` are of quantized tables and 4-bit matrices. `share_table` lets a tied head use the
    bytes of the embedding's file. `worst_kl` is the most mean KL divergence from fp32, in nats, that a quantized
    decoder may have.
    """

    decoder: tuple[Precision, ...]
    vision: tuple[Precision, ...] = (FP32,)
    table_bits: int = 8
    symmetric: bool = True
    share_table: bool = True
    worst_kl: float = 0.016
    profile: str = ""


def assemble(
    model: Assembly,
    folder: Path,
    plan: Plan,
    builder: str,
    inputs: str,
    progress: Progress = lambda stage, done: None,
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Write the bundle into the empty `folder`.

    Raises `WeightsFormatError` if the parts do not fit each other, `ParityError` if rounding changes the model too
    much, OSError if the disk does not take the files.
    """
    _check_prompt(model)
    model.tokenizer.save(str(folder / "tokenizer.json"))
    for name, content in model.client_files.items():
        (folder / name).write_bytes(content)
    sessions = folder / SESSIONS
    sessions.mkdir()
    if model.vision is not None:
        for precision in plan.vision:
            progress(f"writing the image encoder ({precision.name})", 0.0)
            model.vision.write(sessions / f"vision_encoder{precision.suffix}.onnx", precision)
    parity = _write_decoders(model, sessions, plan, progress)

    progress("hashing", 0.85)
    config = model.language.config
    defaults = {"embed_tokens": plan.decoder[0].suffix, "decoder_model_merged": plan.decoder[0].suffix}
    if model.vision is not None:
        defaults["vision_encoder"] = plan.vision[0].suffix
    ModelBundle(
        spec=SPEC,
        folder=folder,
        name=model.name,
        builder=builder,
        inputs=inputs,
        profile=plan.profile,
        files=list_files(folder),
        default_suffix=defaults,
        preprocessing=model.preprocessing,
        prompt=model.prompt,
        decoder=DecoderGeometry(
            layers=config.layers,
            kv_heads=config.kv_heads,
            head_dim=config.head_dim,
            hidden=config.hidden,
            vocabulary=config.vocabulary,
            context=config.context,
        ),
        parts=model.parts,
        parity=parity,
        confidence=model.confidence,
        provenance=provenance or {},
    ).write_manifest()


def _check_prompt(model: Assembly) -> None:
    token = model.prompt.image_token
    if model.vision is None:
        return
    if len(model.tokenizer.encode(token, add_special_tokens=False).ids) != 1:
        raise WeightsFormatError(f"the tokenizer lacks {token}", "this is not the right language model")
    if model.vision.tokens != model.prompt.tokens_per_image:
        raise WeightsFormatError(
            f"a tile gives {model.vision.tokens} rows, the prompt has {model.prompt.tokens_per_image} places for it"
        )


def _write_decoders(model: Assembly, sessions: Path, plan: Plan, progress: Progress) -> dict[str, float]:
    """Write `embed_tokens` and `decoder_model_merged` of each precision; the figures of those that are quantized,
    against an fp32 decoder that is written aside if it is not wanted itself."""
    scratch = sessions / "scratch"
    scratch.mkdir()
    places = {precision.name: sessions for precision in plan.decoder}
    judged = [precision for precision in plan.decoder if precision.bits < FP32.bits]
    if judged:
        places.setdefault(FP32.name, scratch)
    for step, (name, place) in enumerate(places.items()):
        progress(f"writing the decoder ({name})", 0.05 + 0.4 * step / len(places))
        precision = PRECISIONS[name]
        embedding = place / f"embed_tokens{precision.suffix}.onnx"
        table = write_embedding(model.language.embedding, embedding, precision, bits=plan.table_bits)
        writer = DecoderWriter(model.language, table, precision, share_table=plan.share_table, symmetric=plan.symmetric)
        writer.write(place / f"decoder_model_merged{precision.suffix}.onnx")
    figures: dict[str, float] = {}
    texts = _parity_texts(model)
    for precision in judged:
        progress(f"comparing {precision.name} with fp32", 0.5)
        reference = places[FP32.name] / "decoder_model_merged.onnx"
        candidate = sessions / f"decoder_model_merged{precision.suffix}.onnx"
        measured: Parity = compare(reference, candidate, model.language.config, texts)
        measured.check(plan.worst_kl, precision.name)
        prefix = "" if precision == judged[0] else f"{precision.name}_"
        figures |= {f"{prefix}mean_kl": measured.mean_kl, f"{prefix}top1": measured.top1}
        figures[f"{prefix}positions"] = float(measured.positions)
    shutil.rmtree(scratch)
    return figures


def _parity_texts(model: Assembly) -> list[FloatArray]:
    texts: list[FloatArray] = []
    embedding = model.language.embedding
    for question, answer in _PARITY_TEXTS:
        text = model.prompt.opening + model.prompt.before_question + question + model.prompt.end_of_question + answer
        texts.append(embedding[np.array(model.tokenizer.encode(text, add_special_tokens=False).ids)])
    return texts


def list_files(folder: Path) -> tuple[BundleFile, ...]:
    """The files of a bundle's folder, hashed."""
    suffixes = sorted((precision.suffix for precision in PRECISIONS.values()), key=len, reverse=True)
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        stem, suffix = path.stem, ""
        if path.parent.name == SESSIONS:
            suffix = next(one for one in suffixes if stem.endswith(one))
            role = "data" if path.suffix == ".onnx_data" else stem.removesuffix(suffix)
        else:
            role = "tokenizer" if path.name == "tokenizer.json" else "client"
        name = path.relative_to(folder).as_posix()
        files.append(BundleFile(name, role, suffix, path.stat().st_size, hash_file(path)))
    return tuple(files)
