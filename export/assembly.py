"""From a model in memory to the files of its bundle, manifest and parity figures included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer

from lorgnette.export.calibration.rounding import CalibratedRounding
from lorgnette.export.client_files import CONFIG, with_sessions
from lorgnette.export.decoder_graph import DecoderWriter
from lorgnette.export.embedding_graph import write_embedding
from lorgnette.export.graph_builder import DataFile
from lorgnette.export.linears import plain_rounding
from lorgnette.export.llama import LlamaWeights, WeightsFormatError
from lorgnette.export.precision import BY_SUFFIX, PRECISIONS, Precision
from lorgnette.export.text_model_graph import write_text_model
from lorgnette.llm.bundle import ModelBundle, hash_file
from lorgnette.llm.manifest import SPEC, BundleFile, DecoderGeometry, Part, Preprocessing, PromptTemplate

FP32 = PRECISIONS["fp32"]
SESSIONS = "onnx"  # the folder of the sessions, where clients of the hub look for them

Progress = Callable[[str, float], None]


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
    bytes of the embedding's file; where a session may not, as in browsers, rows are looked up by standard operators.
    `rowwise` decoders in 8 bits are rounded by whole rows, see `linears`.
    """

    decoder: tuple[Precision, ...]
    vision: tuple[Precision, ...] = (FP32,)
    table_bits: int = 8
    symmetric: bool = True
    share_table: bool = True
    rowwise: bool = False
    profile: str = ""


def assemble(
    model: Assembly,
    folder: Path,
    plan: Plan,
    builder: str,
    inputs: str,
    progress: Progress = lambda stage, done: None,
    provenance: Mapping[str, str] | None = None,
    rounding: CalibratedRounding | None = None,
) -> ModelBundle:
    """Write the bundle into `folder`; `rounding` is for 4-bit decoders and `rowwise` ones (None: they are rounded
    plainly). Sessions that are there already, of an export of the same that was interrupted, are left.

    Raises `WeightsFormatError` if the parts do not fit each other, OSError if the disk does not take the files.
    """
    _check_prompt(model)
    model.tokenizer.save(str(folder / "tokenizer.json"))
    for name, content in model.client_files.items():
        (folder / name).write_bytes(content)
    sessions = folder / SESSIONS
    sessions.mkdir(exist_ok=True)
    if model.vision is not None:
        for precision in plan.vision:
            progress(f"writing the image encoder ({precision.name})", 0.0)
            path = sessions / f"vision_encoder{precision.suffix}.onnx"
            if not path.exists():
                model.vision.write(path, precision)
    for step, precision in enumerate(plan.decoder):
        progress(f"writing the decoder ({precision.name})", 0.1 + 0.7 * step / len(plan.decoder))
        _write_language(model, sessions, precision, plan, rounding)

    defaults = {"embed_tokens": plan.decoder[0].suffix, "decoder_model_merged": plan.decoder[0].suffix}
    if model.vision is None:
        defaults["model"] = plan.decoder[0].suffix
    else:
        defaults["vision_encoder"] = plan.vision[0].suffix
    if CONFIG in model.client_files:
        (folder / CONFIG).write_bytes(with_sessions(model.client_files[CONFIG], sessions, defaults))

    progress("hashing", 0.85)
    config = model.language.config
    bundle = ModelBundle(
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
        parity={},
        confidence=model.confidence,
        provenance=provenance or {},
    )
    bundle.write_manifest()
    return bundle


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


def _write_language(
    model: Assembly, place: Path, precision: Precision, plan: Plan, rounding: CalibratedRounding | None
) -> None:
    """Write `embed_tokens` and `decoder_model_merged`; for a model of text alone `model` too, in whose data file the
    tensors of all three lie."""
    embedding, decoder, whole = (
        place / f"{name}{precision.suffix}.onnx" for name in ("embed_tokens", "decoder_model_merged", "model")
    )
    alone = model.vision is None
    if (whole if alone else decoder).exists():
        return
    with DataFile(Path(f"{whole}_data")) if alone else nullcontext() as shared:
        table = write_embedding(
            model.language.embedding,
            embedding,
            precision,
            bits=plan.table_bits,
            shared=shared,
            standard=not plan.share_table,
        )
        plain = plain_rounding(precision.bits, symmetric=plan.symmetric)
        calibrated = rounding if precision.bits == 4 else None
        rowwise = plan.rowwise and precision.bits == 8
        writer = DecoderWriter(
            rounding.smooth(model.language) if rounding and rowwise else model.language,
            table,
            precision,
            share_table=plan.share_table or alone,
            quantizer=calibrated or plain,
            rowwise=rowwise,
        )
        writer.write(decoder, shared)
    if alone:
        write_text_model(embedding, decoder, whole)


def list_files(folder: Path) -> tuple[BundleFile, ...]:
    """The files of a bundle's folder, hashed."""
    suffixes = sorted(BY_SUFFIX, key=len, reverse=True)
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
