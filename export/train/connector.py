"""The connector: image encoder features become a few tokens in the language model's embedding space."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GRID = 10  # encoder cells along a side
TOKENS = (GRID // 2) ** 2
_REDUCED, _INNER = 384, 1024


class Connector(nn.Module):
    """[B, 100, channels] encoder cells -> [B, 25, hidden] image tokens.

    Reduce each cell, join 2 x 2 neighbours (space to depth), LayerNorm, two-layer perceptron, then fix the length of
    each token (the language model's own embeddings have nearly equal lengths too) and add a learned position.
    """

    def __init__(self, hidden: int, channels: int) -> None:
        super().__init__()
        self.red = nn.Linear(channels, _REDUCED)
        self.ln = nn.LayerNorm(4 * _REDUCED)
        self.f1 = nn.Linear(4 * _REDUCED, _INNER)
        self.f2 = nn.Linear(_INNER, hidden)
        self.g = nn.Parameter(torch.tensor(0.1))
        self.pos = nn.Parameter(torch.zeros(TOKENS, hidden))

    def directions(self, cells: Tensor) -> Tensor:
        """Unit-length tokens [B, 25, hidden], before their scale and position."""
        x = self.red(cells)
        half = GRID // 2
        x = x.unflatten(1, (half, 2, half, 2)).permute(0, 1, 3, 2, 4, 5).flatten(3)  # [B, row, column, 4 * reduced]
        y: Tensor = self.f2(nn.functional.gelu(self.f1(self.ln(x.flatten(1, 2)))))
        return nn.functional.normalize(y, dim=-1)

    def forward(self, cells: Tensor) -> Tensor:
        tokens = self.directions(cells)
        return tokens * (math.sqrt(tokens.shape[-1]) * self.g) + self.pos
