"""Checkpoints with random weights as transformers writes them, of the real architectures at the smallest sizes.

Needs the `export` extra: each is built from transformers' own config class and saved with `save_pretrained`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SIDE, PATCH, FOLD = 64, 16, 2
_ROWS = 4
SMOLVLM_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<end_of_utterance>",
    "<fake_token_around_image>",
    "<global-img>",
    "<image>",
    *(f"<row_{row}_col_{column}>" for row in range(1, _ROWS + 1) for column in range(1, _ROWS + 1)),
)
_TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rope_theta": 10_000.0,
    "rms_norm_eps": 1e-5,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_VISION = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": SIDE,
    "patch_size": PATCH,
    "initializer_range": 0.2,
}


def write_tokenizer(folder: Path, special: tuple[str, ...]) -> int:
    """A byte-level tokenizer whose first ids are `special`; returns the size of its vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*special, *alphabet]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": special[1], "eos_token": special[2]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(tokens)


def write_image_processor(folder: Path, kind: str, side: int = SIDE, *, rows: int = _ROWS, splits: bool = True) -> None:
    settings = {
        "image_processor_type": f"{kind}ImageProcessor",
        "processor_class": f"{kind}Processor",
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_pad": True,
        "do_convert_rgb": True,
        "do_image_splitting": splits,
        "size": {"longest_edge": rows * side},
        "max_image_size": {"longest_edge": side},
        "resample": 1,
        "rescale_factor": 1 / 255,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def smolvlm(folder: Path, kind: str = "SmolVLM", *, tied: bool = True, seed: int = 0) -> Any:
    """Write a SmolVLM or Idefics3 and return transformers' model."""
    import torch
    import transformers

    vocabulary = write_tokenizer(folder, SMOLVLM_SPECIAL)
    write_image_processor(folder, kind)
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(
        text_config={"model_type": "llama", "vocab_size": vocabulary, **_TEXT},
        vision_config=dict(_VISION),
        image_token_id=SMOLVLM_SPECIAL.index("<image>"),
        scale_factor=FOLD,
        tie_word_embeddings=tied,
    )
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(config).eval()
    _spread(model)
    model.generation_config.eos_token_id = SMOLVLM_SPECIAL.index("<end_of_utterance>")
    model.save_pretrained(folder)
    return model


def _spread(model: Any) -> None:
    """Random norms and biases, which transformers makes 1 and 0: a mixed-up one would not be noticed."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
            elif "position_embedding" in name:
                parameter.copy_(0.5 * torch.randn_like(parameter))


CHATML_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>")
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# As published beside llava-onevision-qwen2-0.5b-ov-hf: an answer that was given has a space that the next one has not.
LLAVA_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}{# Render all images first #}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{# Render all text next #}{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\\n' + content['text'] }}"
    "{% endfor %}{% else %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ '\\n' + content['text'] }}{% endgeneration %}{% endfor %}{% endif %}{{'<|im_end|>'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAVA_SIDE = 60  # four patches of 14 pixels to a side, and four pixels left over


def causal(folder: Path, kind: str = "Llama", *, template: str = CHATML, seed: int = 0, **settings: Any) -> Any:
    """Write a model of text alone of transformers' `kind` and return it. Without a `template` it is a base model."""
    import torch
    import transformers

    vocabulary = write_tokenizer(folder, CHATML_SPECIAL)
    if template:
        (folder / "chat_template.jinja").write_text(template)
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(vocab_size=vocabulary, **_TEXT | settings)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    _spread(model)
    model.save_pretrained(folder)
    return model


def llava_onevision(folder: Path, *, seed: int = 0, **settings: Any) -> Any:
    """Write a LLaVA-OneVision and return transformers' model."""
    import torch
    import transformers

    vocabulary = write_tokenizer(folder, CHATML_SPECIAL)
    facts = {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "processor_class": "LlavaOnevisionProcessor",
        "size": {"height": LLAVA_SIDE, "width": LLAVA_SIDE},
        "image_grid_pinpoints": [[LLAVA_SIDE, LLAVA_SIDE], [LLAVA_SIDE, 2 * LLAVA_SIDE]],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": LLAVA_TEMPLATE}))
    torch.manual_seed(seed)
    config = transformers.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", "vocab_size": vocabulary, **_TEXT},
        vision_config={
            "model_type": "siglip_vision_model",
            **_VISION,
            "image_size": LLAVA_SIDE,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_token_index=CHATML_SPECIAL.index("<image>"),
        image_grid_pinpoints=facts["image_grid_pinpoints"],
        **settings,
    )
    model = transformers.LlavaOnevisionForConditionalGeneration(config).eval()
    _spread(model)
    model.save_pretrained(folder)
    return model
