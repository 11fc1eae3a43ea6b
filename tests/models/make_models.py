"""Write the tiny models that tests run on: the real graphs with random weights of a few thousand parameters.

    python tests/models/make_models.py FOLDER

makes FOLDER/tiny_vlm, a bundle with both precisions. The committed output is in this folder; test_make_models.py makes
it again and compares.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import pre_tokenizers

from lorgnette.export.assembly import Assembly, Plan, assemble
from lorgnette.export.byte_level_tokenizer import byte_level_tokenizer
from lorgnette.export.encoder_graph import channels
from lorgnette.export.llama import FloatArray, LlamaConfig, LlamaWeights, tensor_shapes
from lorgnette.export.parity import rounding_figures
from lorgnette.export.precision import PRECISIONS
from lorgnette.export.vision_graph import EmbeddedVision
from lorgnette.llm.manifest import Part, Preprocessing, PromptTemplate

SIDE = 128
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>")
MERGES = ("Ġ t", "h e", "i n", "Ġt he", "a n")
CONFIG = LlamaConfig(
    layers=2,
    hidden=64,
    heads=4,
    kv_heads=2,
    head_dim=16,
    intermediate=96,
    vocabulary=len(SPECIAL) + 256 + len(MERGES),
    context=256,
    rope_theta=10_000.0,
    norm_epsilon=1e-5,
)
# Output channels of the encoder's seven blocks, one a stage.
_WIDTHS = (4, 6, 8, 10, 12, 14, 16)
_HEAD_CHANNELS, _REDUCED, _INNER = 24, 8, 32


def tiny_language_model(seed: int = 1) -> LlamaWeights:
    """Random weights of such a size that the model's choices depend on its input and differ clearly."""
    random = np.random.default_rng(seed)
    tensors: dict[str, FloatArray] = {}
    for name, shape in tensor_shapes(CONFIG).items():
        noise = random.standard_normal(shape, dtype=np.float32)
        tensors[name] = 1 + 0.1 * noise if len(shape) == 1 else noise * np.float32(1.5 / np.sqrt(shape[-1]))
    return LlamaWeights(CONFIG, tensors)


def tiny_encoder(seed: int = 2) -> dict[str, FloatArray]:
    """The tensors of an EfficientNet-Lite with one narrow block a stage."""
    random = np.random.default_rng(seed)
    tensors: dict[str, FloatArray] = {}

    def conv(name: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        fan_in = inputs * kernel * kernel
        shape = (outputs, inputs, kernel, kernel)
        tensors[f"{name}.weight"] = random.standard_normal(shape, dtype=np.float32) * np.float32(2 / np.sqrt(fan_in))
        tensors[f"{norm}.weight"] = 1 + 0.1 * random.standard_normal(outputs, dtype=np.float32)
        tensors[f"{norm}.bias"] = 0.1 * random.standard_normal(outputs, dtype=np.float32)
        tensors[f"{norm}.running_mean"] = 0.1 * random.standard_normal(outputs, dtype=np.float32)
        tensors[f"{norm}.running_var"] = 1 + 0.1 * random.random(outputs, dtype=np.float32)

    conv("_conv_stem", "_bn0", _WIDTHS[0], 3, 3)
    width = _WIDTHS[0]
    for index, outputs in enumerate(_WIDTHS):
        block = f"_blocks.{index}"
        wide = width if index == 0 else 2 * width  # as in the real one, the first block does not expand
        if index:
            conv(f"{block}._expand_conv", f"{block}._bn0", wide, width, 1)
        conv(f"{block}._depthwise_conv", f"{block}._bn1", wide, 1, 3)
        conv(f"{block}._project_conv", f"{block}._bn2", outputs, wide, 1)
        width = outputs
    conv("_conv_head", "_bn1", _HEAD_CHANNELS, width, 1)
    return tensors


def tiny_connector(seed: int = 3) -> dict[str, FloatArray]:
    random = np.random.default_rng(seed)
    shapes = {"red": (_REDUCED, channels(tiny_encoder())), "f1": (_INNER, 4 * _REDUCED), "f2": (CONFIG.hidden, _INNER)}
    tensors: dict[str, FloatArray] = {
        "g": np.full((), 0.2, np.float32),
        "ln.weight": np.ones(4 * _REDUCED, np.float32),
        "ln.bias": np.zeros(4 * _REDUCED, np.float32),
        "pos": 0.05 * random.standard_normal(((SIDE // 32) ** 2, CONFIG.hidden), dtype=np.float32),
    }
    for name, (outputs, inputs) in {**shapes, "own": (_INNER, _REDUCED)}.items():
        noise = random.standard_normal((outputs, inputs), dtype=np.float32)
        tensors[f"{name}.weight"] = noise * np.float32(1 / np.sqrt(inputs))
        if name != "own":
            tensors[f"{name}.bias"] = 0.1 * random.standard_normal(outputs, dtype=np.float32)
    return tensors


def tiny_vlm() -> Assembly:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*SPECIAL, *alphabet, *(merge.replace(" ", "") for merge in MERGES)]
    return Assembly(
        name="tiny-vlm",
        language=tiny_language_model(),
        tokenizer=byte_level_tokenizer(tokens, MERGES, SPECIAL),
        vision=EmbeddedVision(tiny_encoder(), tiny_connector(), SIDE),
        preprocessing=Preprocessing(
            width=SIDE,
            height=SIDE,
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            resize="squash",
            filter="area",
            layout="NCHW",
            channels="RGB",
        ),
        prompt=PromptTemplate(
            opening="",
            before_image="<|im_start|>user\n",
            before_question="<|im_start|>user\n",
            after_image="\n",
            end_of_question="<|im_end|>\n<|im_start|>assistant\n",
            before_answer="",
            end_of_answer="<|im_end|>\n",
            image_token="<image>",
            tokens_per_image=(SIDE // 32) ** 2,
            stop_ids=(2,),
            text_heading="Text in the picture:\n",
            text_line='"{text}" {place}\n',
            no_text="No text in the picture.\n",
        ),
        parts=(Part("random weights", "Apache-2.0", "make_models.py", hashlib.sha256(b"random").hexdigest()),),
    )


def main(folder: Path) -> None:
    bundle = folder / "tiny_vlm"
    bundle.mkdir(parents=True)
    plan = Plan(decoder=(PRECISIONS["int8"], PRECISIONS["fp32"]))
    made = assemble(tiny_vlm(), bundle, plan, "make-models-3", "tiny-vlm")
    replace(made, parity=rounding_figures(made, made, worst_kl=0.016)).write_manifest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
