"""nanoVLM at its smallest in plain PyTorch, with the names, the shapes and the arithmetic of huggingface/nanoVLM.

No package has that model, so this is written anew from its published source: `models/vision_transformer.py` (no mask,
GELU by its tangent, a final norm), `models/modality_projector.py` (pixel shuffle by rows, one matrix),
`models/language_model.py` (rotary halves, grouped keys, RMS norms), `models/vision_language_model.py` (rows of the
picture in the places of its token, or before the text where there is none). Attention is spelled out: no operator
does it for us.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model
from tiny_checkpoints import CHATML, write_tokenizer
from torch import nn
from torch.nn import functional

SIDE, PATCH, FOLD, LONGEST = 64, 16, 2, 192
IMAGE, WHOLE = "<|image|>", "<|global_image|>"
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_ROWS = {f"r{row}c{column}": f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)}
EXTRA: dict[str, dict[str, str]] = {
    "before": {},
    "token": {"image_token": IMAGE},
    "rows": {"image_token": IMAGE, **_ROWS},
    "whole": {"image_token": IMAGE, "global_image_token": WHOLE, **_ROWS},
}


def attend(q: Any, k: Any, v: Any, mask: Any = None) -> Any:
    """[B, heads, n, d]: softmax(q k' / sqrt(d)) v, heads joined again."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def heads(x: Any, count: int) -> Any:
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


class TowerAttention(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.count, width = c["vit_n_heads"], c["vit_hidden_dim"]
        self.qkv_proj, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        return self.out_proj(attend(*(heads(part, self.count) for part in self.qkv_proj(x).chunk(3, -1))))


class TowerMlp(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.fc1 = nn.Linear(c["vit_hidden_dim"], c["vit_inter_dim"])
        self.fc2 = nn.Linear(c["vit_inter_dim"], c["vit_hidden_dim"])

    def forward(self, x: Any) -> Any:
        return self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))


class TowerBlock(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.ln1, self.ln2 = (nn.LayerNorm(c["vit_hidden_dim"], eps=c["vit_ln_eps"]) for _ in range(2))
        self.attn, self.mlp = TowerAttention(c), TowerMlp(c)

    def forward(self, x: Any) -> Any:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class Patches(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, c["vit_hidden_dim"], c["vit_patch_size"], c["vit_patch_size"])
        cells = c["vit_img_size"] // c["vit_patch_size"]
        self.position_embedding = nn.Parameter(torch.rand(1, cells * cells, c["vit_hidden_dim"]))

    def forward(self, x: Any) -> Any:
        return self.conv(x).flatten(2).transpose(1, 2) + self.position_embedding


class Tower(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.patch_embedding = Patches(c)
        self.blocks = nn.ModuleList(TowerBlock(c) for _ in range(c["vit_n_blocks"]))
        self.layer_norm = nn.LayerNorm(c["vit_hidden_dim"], eps=c["vit_ln_eps"])

    def forward(self, x: Any) -> Any:
        x = self.patch_embedding(x)
        for block in self.blocks:
            x = block(x)
        return self.layer_norm(x)


class Projector(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.fold = c["mp_pixel_shuffle_factor"]
        self.proj = nn.Linear(c["vit_hidden_dim"] * self.fold**2, c["lm_hidden_dim"], bias=False)

    def forward(self, x: Any) -> Any:
        """One token for each square of fold x fold cells: its cells row by row, their channels side by side."""
        cells = math.isqrt(x.shape[1])
        grid = x.unflatten(1, (cells, cells))
        rows = [
            grid[:, top : top + self.fold, left : left + self.fold].flatten(1)
            for top in range(0, cells, self.fold)
            for left in range(0, cells, self.fold)
        ]
        return self.proj(torch.stack(rows, 1))


class RmsNorm(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(c["lm_hidden_dim"])), c["lm_rms_eps"]

    def forward(self, x: Any) -> Any:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class TextAttention(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        width, self.count, self.kv_count = c["lm_hidden_dim"], c["lm_n_heads"], c["lm_n_kv_heads"]
        narrow = width // self.count * self.kv_count
        self.q_proj, self.out_proj = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(width, narrow, bias=False) for _ in range(2))

    def forward(self, x: Any, angles: Any) -> Any:
        q, k, v = heads(self.q_proj(x), self.count), heads(self.k_proj(x), self.kv_count), self.v_proj(x)
        q, k = (one * angles.cos() + _turned(one) * angles.sin() for one in (q, k))
        k, v = (one.repeat_interleave(self.count // self.kv_count, 1) for one in (k, heads(v, self.kv_count)))
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        return self.out_proj(attend(q, k, v, causal))


def _turned(x: Any) -> Any:
    first, second = x.chunk(2, -1)
    return torch.cat((-second, first), -1)


class TextMlp(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        width, wide = c["lm_hidden_dim"], c["lm_inter_dim"]
        self.gate_proj, self.up_proj = (nn.Linear(width, wide, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(wide, width, bias=False)

    def forward(self, x: Any) -> Any:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class TextBlock(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.mlp, self.attn, self.norm1, self.norm2 = TextMlp(c), TextAttention(c), RmsNorm(c), RmsNorm(c)

    def forward(self, x: Any, angles: Any) -> Any:
        x = x + self.attn(self.norm1(x), angles)
        return x + self.mlp(self.norm2(x))


class Rotary(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        width = c["lm_hidden_dim"] // c["lm_n_heads"]
        self.register_buffer("inv_freq", c["lm_re_base"] ** -(torch.arange(0, width, 2).float() / width))


class Decoder(nn.Module):
    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(c["lm_vocab_size"], c["lm_hidden_dim"])
        self.rotary_embd = Rotary(c)
        self.blocks = nn.ModuleList(TextBlock(c) for _ in range(c["lm_n_blocks"]))
        self.norm = RmsNorm(c)
        self.head = nn.Linear(c["lm_hidden_dim"], c["lm_vocab_size"], bias=False)
        if c["lm_tie_weights"]:
            self.head.weight = self.token_embedding.weight

    def forward(self, rows: Any) -> Any:
        angles = torch.arange(rows.shape[1])[:, None] * self.rotary_embd.inv_freq
        for block in self.blocks:
            rows = block(rows, torch.cat((angles, angles), -1))
        return self.head(self.norm(rows))


class NanoVlm(nn.Module):
    def __init__(self, c: dict[str, Any], image_id: int | None) -> None:
        super().__init__()
        self.config, self.image_id = c, image_id
        self.vision_encoder, self.decoder, self.MP = Tower(c), Decoder(c), Projector(c)

    def features(self, pixels: Any) -> Any:
        return self.MP(self.vision_encoder(pixels))

    @torch.no_grad()
    def greedy(self, ids: list[int], pixels: Any | None, count: int) -> list[int]:
        """The whole sequence anew for each token: no cache to go wrong."""
        rows = self.decoder.token_embedding(torch.tensor(ids))
        if pixels is not None:
            features = self.features(pixels).flatten(0, 1)
            if self.image_id is None:
                rows = torch.cat((features, rows))
            else:
                rows[torch.tensor(ids) == self.image_id] = features
        chosen: list[int] = []
        while len(chosen) < count:
            chosen.append(int(self.decoder(rows[None])[0, -1].argmax()))
            rows = torch.cat((rows, self.decoder.token_embedding(torch.tensor(chosen[-1:]))))
        return chosen


def nanovlm(folder: Path, generation: str = "whole", *, tied: bool = True, seed: int = 0, **settings: Any) -> NanoVlm:
    """Write a checkpoint of one `generation` (of EXTRA) as the project does, its tokenizer beside it."""
    extra = EXTRA[generation]
    vocabulary = write_tokenizer(folder, (*_SPECIAL, *extra.values()))
    if generation == "before":
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": _SPECIAL[0]}))
    config: dict[str, Any] = {
        "vit_hidden_dim": 48,
        "vit_inter_dim": 80,
        "vit_patch_size": PATCH,
        "vit_img_size": SIDE,
        "vit_n_heads": 4,
        "vit_dropout": 0.0,
        "vit_n_blocks": 2,
        "vit_ln_eps": 1e-6,
        "vit_cls_flag": False,
        "lm_hidden_dim": 64,
        "lm_inter_dim": 96,
        "lm_rms_eps": 1e-5,
        "lm_re_base": 100_000,
        "lm_max_position_embeddings": 2048,
        "lm_vocab_size": vocabulary,
        "lm_n_heads": 4,
        "lm_n_kv_heads": 2,
        "lm_n_blocks": 2,
        "lm_attn_scaling": 1.0,
        "lm_tie_weights": tied,
        "lm_tokenizer": "an/other-repository",
        "mp_pixel_shuffle_factor": FOLD,
    }
    if extra:
        tokens = (SIDE // PATCH // FOLD) ** 2
        config |= {"lm_chat_template": CHATML, "mp_image_token_length": tokens, "vlm_extra_tokens": extra}
    if "r1c1" in extra:
        config["max_img_size"] = LONGEST
    config |= settings
    torch.manual_seed(seed)
    image_id = len(_SPECIAL) if extra else None
    model = NanoVlm(config, image_id).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter) + (0.9 if parameter.ndim == 1 else 0.0))
    (folder / "config.json").write_text(json.dumps(config))
    save_model(model, str(folder / "model.safetensors"))
    return model
