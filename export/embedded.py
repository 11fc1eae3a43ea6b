"""Build the embedded model's bundle from its three sources: GGUF language model, image encoder, trained adapter.

Needs no PyTorch. Every fact about the model that its weights do not tell is in this file and goes into the manifest.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lorgnette.export.adapter import merge, read_adapter, with_trained_encoder
from lorgnette.export.assembly import Assembly, Plan, Progress, assemble
from lorgnette.export.bundle_folder import locked, replacing
from lorgnette.export.gguf_checkpoint import read_gguf
from lorgnette.export.legacy_checkpoint import read_legacy_checkpoint
from lorgnette.export.parity import rounding_figures
from lorgnette.export.precision import precision
from lorgnette.export.provenance import provenance
from lorgnette.export.reference_bundle import reference_bundle
from lorgnette.export.sources import BUILDER, Fingerprint, Sources, fingerprint, is_current
from lorgnette.export.vision_graph import EmbeddedVision
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.manifest import Part, Preprocessing, PromptTemplate

# The words around picture and question, as the model was trained with them; PromptTemplate says what each is.
BEFORE_IMAGE, AFTER_IMAGE = "<|im_start|>user\n", "\n"
TEXT_HEADING, TEXT_LINE, NO_TEXT = "Text in the picture:\n", '"{text}" {place}\n', "No text in the picture.\n"
END_OF_QUESTION = "<|im_end|>\n<|im_start|>assistant\n"
END_OF_ANSWER = "<|im_end|>"

# Three to four times what the embedded model measures: past it, the weights or this machine's kernels are wrong.
_WORST_KL = 0.016
_SIDE = 320
PREPROCESSING = Preprocessing(
    width=_SIDE,
    height=_SIDE,
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
    resize="squash",
    filter="area",
    layout="NCHW",
    channels="RGB",
)


def build(
    gguf: Path,
    encoder: Path,
    adapter: Path,
    out: Path,
    progress: Progress = lambda stage, done: None,
    *,
    precisions: Sequence[str] = ("int8",),
    force: bool = False,
) -> ModelBundle:
    """Make the bundle at `out`, or open the one that is there if it was made by this builder from the same files.

    `precisions` are names of `precision.PRECISIONS`, the first is the bundle's default. `progress` is told the stage
    and how much is done in all (0 to 1). Takes about 25 s and 2 GB. Raises `BundleError`, `WeightsFormatError` or
    `InputError`; `out` is then as it was.
    """
    sources = Sources(gguf, encoder, adapter)
    wanted = tuple(precision(name) for name in dict.fromkeys(precisions))
    progress("looking at the weights", 0.0)
    made_of = fingerprint(sources, [one.name for one in wanted])
    with locked(out):
        if not force and is_current(out, made_of.inputs):
            return ModelBundle.open(out)
        with replacing(out) as folder:
            model = _read(sources, made_of, progress)
            plan = Plan(decoder=wanted, profile="cpu")
            told = functools.partial(_later, progress)
            bundle = assemble(model, folder, plan, BUILDER, made_of.inputs, told, provenance())
            progress("comparing with fp32", 0.9)
            with reference_bundle(model, folder.parent) as exact:
                figures = rounding_figures(bundle, exact, _WORST_KL)
            replace(bundle, parity=figures).write_manifest()
    progress("done", 1.0)
    return ModelBundle.open(out)


def _later(progress: Progress, stage: str, done: float) -> None:
    progress(stage, 0.4 + 0.5 * done)


def _read(sources: Sources, made_of: Fingerprint, progress: Progress) -> Assembly:
    progress("reading the language model", 0.02)
    checkpoint = read_gguf(sources.gguf)
    adapter = read_adapter(sources.adapter)
    progress("merging the adapter", 0.3)
    vision = EmbeddedVision(
        with_trained_encoder(read_legacy_checkpoint(sources.encoder), adapter), adapter.connector, _SIDE
    )
    return Assembly(
        name="lorgnette-embedded",
        language=merge(checkpoint.weights, adapter),
        tokenizer=checkpoint.tokenizer,
        vision=vision,
        preprocessing=PREPROCESSING,
        prompt=PromptTemplate(
            opening="",
            before_image=BEFORE_IMAGE,
            before_question=BEFORE_IMAGE,
            after_image=AFTER_IMAGE,
            end_of_question=END_OF_QUESTION,
            before_answer="",
            end_of_answer=END_OF_ANSWER + "\n",
            # A token that no prompt contains, since the runtime tokenises questions without special tokens.
            image_token="<empty_output>",
            tokens_per_image=vision.tokens,
            stop_ids=(checkpoint.stop_id,),
            text_heading=TEXT_HEADING,
            text_line=TEXT_LINE,
            no_text=NO_TEXT,
        ),
        parts=(
            Part("language model: SmolLM2-135M-Instruct (Q4_1)", "Apache-2.0", sources.gguf.name, made_of.gguf),
            Part("image encoder: EfficientNet-Lite2 (ImageNet)", "Apache-2.0", sources.encoder.name, made_of.encoder),
            Part(
                "connector, low-rank updates and trained encoder",
                "Apache-2.0; the model card says what they were trained on",
                sources.adapter.name,
                made_of.adapter,
            ),
        ),
        confidence=adapter.confidence,
    )
