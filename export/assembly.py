"""From a model in memory to the files of its bundle, manifest and parity figures included."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from lorgnette.export.decoder_graph import DecoderWriter
from lorgnette.export.embedding_graph import (
    FloatTable,
    QuantizedTable,
    write_float_embedding,
    write_quantized_embedding,
)
from lorgnette.export.graph_builder import DataFile
from lorgnette.export.llama import FloatArray, LlamaWeights, WeightsFormatError
from lorgnette.export.parity import Parity, compare
from lorgnette.export.sources import PRECISIONS
from lorgnette.export.vision_graph import write_vision_encoder
from lorgnette.llm.bundle import (
    BundleFile,
    DecoderGeometry,
    ModelBundle,
    Part,
    Preprocessing,
    PromptTemplate,
    hash_file,
)

FP32, INT8 = PRECISIONS["fp32"], PRECISIONS["int8"]

Progress = Callable[[str, float], None]

# Three to four times what the embedded model measures: past it, the weights or this machine's kernels are wrong.
_WORST_KL = 0.016

# What the parity figures are measured on: questions and answers as a model meets them, and plain prose.
_PARITY_TEXTS = (
    ("What is in this picture?", "A brown dog is running through the grass with a ball in its mouth."),
    ("Is there a bicycle?", "No, there is no bicycle in the picture."),
    ("How many people are there and what are they doing?", "Two men in red jackets are skiing down a hill."),
    ("What does the harbour look like?", "It is quiet, and the boats lie still, waiting for the tide to turn."),
    ("How do I boil an egg?", "Bring water to a simmer, lower the egg in with a spoon, and wait for seven minutes."),
)


@dataclass(frozen=True, slots=True)
class Assembly:
    """A vision-language model in memory.

    `placeholder` is the token that marks the picture's place in a prompt of `before_image`, picture, `after_image`,
    question, `end_of_question`; the text pieces and `confidence` are as in the manifest. `encoder` are the arrays of an
    EfficientNet-Lite, `connector` those of the recipe; pictures are square.
    """

    name: str
    language: LlamaWeights
    tokenizer: Tokenizer
    encoder: Mapping[str, npt.NDArray[Any]]
    connector: Mapping[str, FloatArray]
    preprocessing: Preprocessing
    before_image: str
    after_image: str
    text_heading: str
    text_line: str
    no_text: str
    end_of_question: str
    placeholder: str
    stop_ids: tuple[int, ...]
    parts: tuple[Part, ...]
    confidence: Mapping[str, float]


def assemble(
    model: Assembly, folder: Path, suffixes: Sequence[str], builder: str, inputs: str, progress: Progress
) -> None:
    """Write the bundle into the empty `folder`; `suffixes` are the precisions, the first is the default.

    Raises `WeightsFormatError` if the parts do not fit each other, `ParityError` if rounding to 8 bits changes
    the model too much, OSError if the disk does not take the files.
    """
    config = model.language.config
    placeholder = model.tokenizer.token_to_id(model.placeholder)
    if placeholder is None:
        raise WeightsFormatError(f"the tokenizer lacks {model.placeholder}", "this is not the right language model")
    model.tokenizer.save(str(folder / "tokenizer.json"))
    progress("writing the image encoder", 0.0)
    side = model.preprocessing.width
    tokens = write_vision_encoder(model.encoder, model.connector, side, folder / "vision_encoder.onnx")

    scratch = folder / "scratch"
    scratch.mkdir()
    measuring: dict[str, Path] = {}
    for step, suffix in enumerate(dict.fromkeys((*suffixes, FP32))):
        progress(f"writing the decoder ({'fp32' if suffix == FP32 else '8 bits'})", 0.05 + 0.2 * step)
        measuring[suffix] = _write_language_model(model.language, folder if suffix in suffixes else scratch, suffix)
    parity: dict[str, float] = {}
    if INT8 in suffixes:
        progress("comparing 8 bits with fp32", 0.5)
        measured = _measure(model, measuring)
        measured.check(_WORST_KL)
        parity = {"mean_kl": measured.mean_kl, "top1": measured.top1, "positions": float(measured.positions)}
    for path in measuring.values():
        path.unlink()
    shutil.rmtree(scratch)

    progress("hashing", 0.85)
    ModelBundle(
        folder=folder,
        name=model.name,
        builder=builder,
        inputs=inputs,
        files=_list_files(folder),
        default_suffix={"vision_encoder": FP32, "embed_tokens": suffixes[0], "decoder_model_merged": suffixes[0]},
        preprocessing=model.preprocessing,
        prompt=PromptTemplate(
            before_image=model.before_image,
            after_image=model.after_image,
            text_heading=model.text_heading,
            text_line=model.text_line,
            no_text=model.no_text,
            end_of_question=model.end_of_question,
            image_token_id=placeholder,
            tokens_per_image=tokens,
            stop_ids=model.stop_ids,
        ),
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
    ).write_manifest()


def _write_language_model(weights: LlamaWeights, folder: Path, suffix: str) -> Path:
    """Write `embed_tokens` and `decoder_model_merged` of one precision.

    Returns the path of a second decoder over the same data that gives logits at every position, for measuring; the
    caller removes it.
    """
    embedding = folder / f"embed_tokens{suffix}.onnx"
    table: FloatTable | QuantizedTable
    if suffix == FP32:
        table = write_float_embedding(weights.embedding, embedding)
    else:
        table = write_quantized_embedding(weights.embedding, embedding)
    decoder = folder / f"decoder_model_merged{suffix}.onnx"
    every_position = folder / f"every_position{suffix}.onnx"
    with DataFile(Path(f"{decoder}_data")) as data:
        writer = DecoderWriter(weights, table, data)
        writer.write(decoder)
        writer.write(every_position, every_position=True)
    return every_position


def _measure(model: Assembly, measuring: Mapping[str, Path]) -> Parity:
    texts: list[FloatArray] = []
    for question, answer in _PARITY_TEXTS:
        text = model.before_image + question + model.end_of_question + answer
        ids = model.tokenizer.encode(text, add_special_tokens=False).ids
        texts.append(model.language.embedding[np.array(ids)])
    return compare(measuring[FP32], measuring[INT8], model.language.config, texts)


def _list_files(folder: Path) -> tuple[BundleFile, ...]:
    files = []
    for path in sorted(folder.iterdir()):
        suffix = INT8 if path.stem.endswith(INT8) else FP32
        role = "data" if path.suffix == ".onnx_data" else path.stem.removesuffix(suffix)
        files.append(BundleFile(path.name, role, suffix, path.stat().st_size, hash_file(path)))
    return tuple(files)
