"""Write a SmolVLM-256M of true size where no hub is reached: SmolLM2-135M's weights, a random image tower.

    python benchmarks/make_smolvlm.py FOLDER [--gguf SmolLM2-135M-Instruct.Q4_1.gguf]

The folder is laid out as `save_pretrained` does it, so transformers and `lorgnette export` both open it. It says
nothing sensible about pictures; its memory, speed and rounding are those of the real one. Without --gguf, the weights
of `lorgnette models` are used.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer

from lorgnette.assistant.config import load_config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.export.architectures.idefics3 import CHAT_TEMPLATE
from lorgnette.export.gguf_checkpoint import read_gguf
from lorgnette.export.siglip_graph import SiglipConfig, tensor_shapes

VOCABULARY, ROWS, FOLD = 49280, 6, 4
TOWER = SiglipConfig(512, 16, hidden=768, layers=12, heads=12, intermediate=3072, norm_epsilon=1e-6)
AROUND, IMAGE, END = 49189, 49190, 49279


def write(folder: Path, gguf: Path, seed: int = 0) -> None:
    """Write the checkpoint into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = read_gguf(gguf)
    language, random = checkpoint.weights, np.random.default_rng(seed)
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    for name, array in language.tensors.items():
        tensors[name.replace("model.", "model.text_model.", 1)] = array
    table = language.embedding
    extra = random.standard_normal((VOCABULARY - len(table), table.shape[1]), np.float32) * table.std()
    tensors["model.text_model.embed_tokens.weight"] = np.concatenate([table, extra])
    for name, shape in tensor_shapes(TOWER).items():
        tensors[f"model.vision_model.{name}"] = _random(random, name, shape)
    width = TOWER.hidden * FOLD * FOLD
    projection = random.standard_normal((table.shape[1], width), np.float32)
    # Image rows come out as long as those of words.
    tensors["model.connector.modality_projection.proj.weight"] = projection * np.float32(table.std() / np.sqrt(width))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _write_tokenizer(folder, checkpoint.tokenizer)
    for name, content in _configs(language.config.context).items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")


def _random(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    noise = random.standard_normal(shape, np.float32)
    if len(shape) == 1:
        return noise * np.float32(0.05) + np.float32("norm" in name and name.endswith("weight"))
    return noise * np.float32(0.5 if "position" in name else 1 / np.sqrt(np.prod(shape[1:])))


def _write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """SmolLM2's, with SmolVLM's tokens at the places where that has them."""
    tokens = {49152: "<global-img>", AROUND: "<fake_token_around_image>", IMAGE: "<image>", END: "<end_of_utterance>"}
    for row in range(ROWS):
        tokens |= {49153 + row * ROWS + column: f"<row_{row + 1}_col_{column + 1}>" for column in range(ROWS)}
    known = tokenizer.get_vocab_size()
    names = [tokens.get(token_id, f"<|reserved_special_token_{token_id}|>") for token_id in range(known, VOCABULARY)]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    assert tokenizer.token_to_id("<end_of_utterance>") == END
    tokenizer.save(str(folder / "tokenizer.json"))


def _configs(context: int) -> dict[str, dict[str, object]]:
    text = {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": context,
        "rope_theta": 100_000.0,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
    }
    vision = {
        "hidden_size": TOWER.hidden,
        "intermediate_size": TOWER.intermediate,
        "num_hidden_layers": TOWER.layers,
        "num_attention_heads": TOWER.heads,
        "image_size": TOWER.side,
        "patch_size": TOWER.patch,
        "hidden_act": "gelu_pytorch_tanh",
    }
    return {
        "config.json": {
            "architectures": ["SmolVLMForConditionalGeneration"],
            "model_type": "smolvlm",
            "image_token_id": IMAGE,
            "scale_factor": FOLD,
            "tie_word_embeddings": True,
            "dtype": "float32",
            "text_config": text,
            "vision_config": vision,
        },
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": END, "pad_token_id": 2},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|im_start|>",
            "eos_token": "<end_of_utterance>",
            "chat_template": CHAT_TEMPLATE,
        },
        "processor_config.json": {"processor_class": "SmolVLMProcessor", "image_seq_len": (TOWER.cells // FOLD) ** 2},
        "preprocessor_config.json": {
            "processor_class": "SmolVLMProcessor",
            "image_processor_type": "SmolVLMImageProcessor",
            "do_resize": True,
            "do_rescale": True,
            "do_normalize": True,
            "do_pad": True,
            "do_convert_rgb": True,
            "do_image_splitting": True,
            "size": {"longest_edge": 4 * TOWER.side},
            "max_image_size": {"longest_edge": TOWER.side},
            "resample": 1,
            "rescale_factor": 1 / 255,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gguf", type=Path)
    args = parser.parse_args()
    gguf = args.gguf or WeightStore.from_config(load_config()).path("smollm2-135m-instruct")
    write(args.folder, gguf)
    print(args.folder)


if __name__ == "__main__":
    main()
