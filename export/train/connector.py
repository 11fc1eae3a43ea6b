"""The connector: image encoder features become tokens in the language model's embedding space, one for each cell."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GRID = 10  # encoder cells along a side
TOKENS = GRID**2
_HALF = GRID // 2
_REDUCED, _INNER = 384, 1024


class Connector(nn.Module):
    """[B, 100, channels] encoder cells -> [B, 100, hidden] image tokens, rows first.

    Reduce each cell, join 2 x 2 neighbours (space to depth), LayerNorm, two-layer perceptron in which a cell adds what
    is its own to what its block of four says, then fix the length of each token (the language model's own embeddings
    have nearly equal lengths too) and add a learned position.
    """

    def __init__(self, hidden: int, channels: int) -> None:
        super().__init__()
        self.red = nn.Linear(channels, _REDUCED)
        self.ln = nn.LayerNorm(4 * _REDUCED)
        self.f1 = nn.Linear(4 * _REDUCED, _INNER)
        self.own = nn.Linear(_REDUCED, _INNER, bias=False)
        self.f2 = nn.Linear(_INNER, hidden)
        self.g = nn.Parameter(torch.tensor(0.1))
        self.pos = nn.Parameter(torch.zeros(TOKENS, hidden))

    def directions(self, cells: Tensor) -> Tensor:
        """Unit-length tokens [B, 100, hidden], before their scale and position."""
        x = self.red(cells).unflatten(1, (_HALF, 2, _HALF, 2)).transpose(2, 3)  # [B, row, column, 2, 2, reduced]
        x = self.ln(x.flatten(3))
        block = self.f1(x)[:, :, None, :, None]  # [B, row, 1, column, 1, inner]
        own = self.own(x.unflatten(3, (2, 2, -1)).transpose(2, 3))  # [B, row, 2, column, 2, inner]
        y: Tensor = self.f2(nn.functional.gelu(block + own))
        return nn.functional.normalize(y.flatten(1, 4), dim=-1)

    def forward(self, cells: Tensor) -> Tensor:
        tokens = self.directions(cells)
        return tokens * (math.sqrt(tokens.shape[-1]) * self.g) + self.pos
