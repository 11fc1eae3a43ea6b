"""Build the embedded model's bundle from its three sources: GGUF language model, image encoder, trained adapter.

Needs no PyTorch. Every fact about the model that its weights do not tell is in this file and goes into the manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from lorgnette.export.adapter import merge, read_adapter
from lorgnette.export.bundle_folder import locked, replacing
from lorgnette.export.decoder_graph import DecoderWriter
from lorgnette.export.embedding_graph import (
    FloatTable,
    QuantizedTable,
    write_float_embedding,
    write_quantized_embedding,
)
from lorgnette.export.gguf_checkpoint import GgufCheckpoint, read_gguf
from lorgnette.export.graph_builder import DataFile
from lorgnette.export.legacy_checkpoint import read_legacy_checkpoint
from lorgnette.export.llama import FloatArray, LlamaWeights
from lorgnette.export.parity import Parity, compare
from lorgnette.export.vision_graph import write_vision_encoder
from lorgnette.llm.bundle import (
    MANIFEST,
    BundleError,
    BundleFile,
    DecoderGeometry,
    ModelBundle,
    Part,
    Preprocessing,
    PromptTemplate,
    hash_file,
)

# Part of the hash that decides whether a bundle is up to date: raise it with every change of what is written.
BUILDER = "embedded-1"
FP32, INT8 = "", "_quantized"
PRECISIONS = {"int8": INT8, "fp32": FP32}

_SIDE = 320
_PREPROCESSING = Preprocessing(
    width=_SIDE,
    height=_SIDE,
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
    resize="squash",
    filter="area",
    layout="NCHW",
    channels="RGB",
)
# Never part of a prompt (the runtime tokenises questions without special tokens), so it can mark the picture's place.
_PLACEHOLDER = "<empty_output>"
_BEFORE_IMAGE, _AFTER_IMAGE = "<|im_start|>user\n", "\n"
_END_OF_QUESTION = "<|im_end|>\n<|im_start|>assistant\n"

# What the parity figures are measured on: questions and answers as the model meets them, and plain prose.
_PARITY_TEXTS = (
    "What is in this picture?<|im_end|>\n<|im_start|>assistant\nA brown dog is running through the grass with a ball.",
    "Is there a bicycle?<|im_end|>\n<|im_start|>assistant\nNo, there is no bicycle in the picture.<|im_end|>\n",
    "How many people are there and what are they doing?<|im_end|>\n<|im_start|>assistant\nTwo men in red jackets.",
    "The harbour was quiet in the early morning, and the boats lay still on the water, waiting for the tide to turn.",
    "To boil an egg, bring a pot of water to a simmer, lower the egg in with a spoon, and wait for seven minutes.",
)

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that a bundle is made of."""

    gguf: Path
    encoder: Path
    adapter: Path


def build(
    gguf: Path,
    encoder: Path,
    adapter: Path,
    out: Path,
    progress: Progress = lambda stage, done: None,
    *,
    precisions: Sequence[str] = (INT8,),
    force: bool = False,
) -> ModelBundle:
    """Make the bundle at `out`, or open the one that is there if it was made by this builder from the same files.

    `precisions` are file suffixes, the first is the bundle's default. `progress` is told the stage and how much is done
    in all (0 to 1). Takes about 20 s and 2 GB. Raises `BundleError` or `WeightsFormatError`; `out` is then as it was.
    """
    sources = Sources(gguf, encoder, adapter)
    progress("looking at the weights", 0.0)
    parts = _parts(sources)
    inputs = _fingerprint(parts, precisions)
    with locked(out):
        if not force and is_current(out, inputs):
            return ModelBundle.open(out)
        with replacing(out) as folder:
            _write(sources, parts, inputs, folder, tuple(precisions), progress)
    progress("done", 1.0)
    return ModelBundle.open(out)


def is_current(folder: Path, inputs: str) -> bool:
    """Whether `folder` holds a whole bundle made from these inputs (a hash that `build` computes)."""
    try:
        recorded = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("inputs")
        return recorded == inputs and ModelBundle.open(folder).inputs == inputs
    except (OSError, ValueError, AttributeError, BundleError):
        return False


def _parts(sources: Sources) -> tuple[Part, ...]:
    rows = (
        ("language model: SmolLM2-135M-Instruct (Q4_1)", "Apache-2.0", sources.gguf),
        ("image encoder: EfficientNet-Lite2 (ImageNet)", "Apache-2.0", sources.encoder),
        ("connector and low-rank updates", "Apache-2.0; see the model card for its training data", sources.adapter),
    )
    try:
        return tuple(Part(name, licence, path.name, hash_file(path)) for name, licence, path in rows)
    except OSError as error:
        raise BundleError(f"cannot read the weights: {error}", "fetch them with `lorgnette models pull`") from error


def _fingerprint(parts: Sequence[Part], precisions: Sequence[str]) -> str:
    text = json.dumps([BUILDER, list(precisions), [part.sha256 for part in parts]])
    return hashlib.sha256(text.encode()).hexdigest()


def _write(
    sources: Sources, parts: tuple[Part, ...], inputs: str, folder: Path, precisions: tuple[str, ...], progress: Progress
) -> None:
    progress("reading the language model", 0.05)
    checkpoint = read_gguf(sources.gguf)
    adapter = read_adapter(sources.adapter)
    progress("merging the adapter", 0.2)
    weights = merge(checkpoint.weights, adapter)
    checkpoint.tokenizer.save(str(folder / "tokenizer.json"))
    progress("writing the image encoder", 0.25)
    encoder = read_legacy_checkpoint(sources.encoder)
    tokens = write_vision_encoder(encoder, adapter.connector, _SIDE, folder / "vision_encoder.onnx")

    scratch = folder / "scratch"
    scratch.mkdir()
    tables: dict[str, Path] = {}
    for step, suffix in enumerate(dict.fromkeys((*precisions, FP32))):
        progress(f"writing the decoder ({'fp32' if suffix == FP32 else '8 bits'})", 0.3 + 0.2 * step)
        tables[suffix] = write_language_model(weights, folder if suffix in precisions else scratch, suffix)
    parity: dict[str, float] = {}
    if INT8 in precisions:
        progress("comparing with fp32", 0.75)
        measured = _measure(tables, weights, checkpoint.tokenizer)
        parity = {"mean_kl": measured.mean_kl, "top1": measured.top1, "positions": float(measured.positions)}
    for path in tables.values():
        path.unlink()
    _remove_folder(scratch)

    progress("hashing", 0.9)
    _manifest(folder, checkpoint, tokens, parts, inputs, precisions, parity).write_manifest()


def write_language_model(weights: LlamaWeights, folder: Path, suffix: str) -> Path:
    """Write `embed_tokens` and `decoder_model_merged` of one precision.

    Returns the path of a second decoder over the same data that gives logits at every position, for measuring; the
    caller removes it.
    """
    embedding_path = folder / f"embed_tokens{suffix}.onnx"
    table: FloatTable | QuantizedTable
    if suffix == FP32:
        table = write_float_embedding(weights.embedding, embedding_path)
    else:
        table = write_quantized_embedding(weights.embedding, embedding_path)
    path = folder / f"decoder_model_merged{suffix}.onnx"
    with DataFile(Path(f"{path}_data")) as data:
        writer = DecoderWriter(weights, table, data)
        writer.write(path)
        every = folder / f"every_position{suffix}.onnx"
        writer.write(every, every_position=True)
    return every


def _measure(tables: dict[str, Path], weights: LlamaWeights, tokenizer: Tokenizer) -> Parity:
    texts: list[FloatArray] = []
    for text in _PARITY_TEXTS:
        ids = tokenizer.encode(_BEFORE_IMAGE + text, add_special_tokens=False).ids
        texts.append(weights.embedding[np.array(ids)])
    return compare(tables[FP32], tables[INT8], weights.config, texts)


def _manifest(
    folder: Path,
    checkpoint: GgufCheckpoint,
    tokens: int,
    parts: tuple[Part, ...],
    inputs: str,
    precisions: tuple[str, ...],
    parity: dict[str, float],
) -> ModelBundle:
    config = checkpoint.weights.config
    placeholder = checkpoint.tokenizer.token_to_id(_PLACEHOLDER)
    if placeholder is None:
        raise BundleError(f"the tokenizer lacks {_PLACEHOLDER}", "this language model is not the embedded one")
    return ModelBundle(
        folder=folder,
        name="lorgnette-embedded",
        builder=BUILDER,
        inputs=inputs,
        files=_list_files(folder),
        default_suffix={"vision_encoder": FP32, "embed_tokens": precisions[0], "decoder_model_merged": precisions[0]},
        preprocessing=_PREPROCESSING,
        prompt=PromptTemplate(
            before_image=_BEFORE_IMAGE,
            after_image=_AFTER_IMAGE,
            end_of_question=_END_OF_QUESTION,
            image_token_id=placeholder,
            tokens_per_image=tokens,
            stop_ids=(checkpoint.stop_id,),
        ),
        decoder=DecoderGeometry(
            layers=config.layers,
            kv_heads=config.kv_heads,
            head_dim=config.head_dim,
            hidden=config.hidden,
            vocabulary=config.vocabulary,
            context=config.context,
        ),
        parts=parts,
        parity=parity,
    )


def _list_files(folder: Path) -> tuple[BundleFile, ...]:
    files = []
    for path in sorted(folder.iterdir()):
        stem, kind = path.stem, path.suffix
        suffix = INT8 if stem.endswith(INT8) else FP32
        role = "data" if kind == ".onnx_data" else stem.removesuffix(suffix)
        files.append(BundleFile(path.name, role, suffix, path.stat().st_size, hash_file(path)))
    return tuple(files)


def _remove_folder(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
