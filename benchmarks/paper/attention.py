"""Attention fusion: each item weighs its photo against its text."""

from __future__ import annotations

import torch
from torch import nn

# Width of the layer that the weights are computed from; a third of a MiniLM vector.
_HIDDEN = 128


class AttentionFusion(nn.Module):
    """Weights of the two modalities by additive attention (Bahdanau, Cho and Bengio, ICLR 2015, section A.1.2).

    With h_m = W_m x_m, the weight of modality m is softmax_m(q . tanh(U h_m + b)), the item the weighted sum of h_m. Both
    W begin as the identity and q as zero, so the untrained item is the 50/50 average: training alone makes the difference.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.vision, self.text = identity(dimensions), identity(dimensions)
        self.hidden = nn.Linear(dimensions, _HIDDEN)
        self.query = nn.Linear(_HIDDEN, 1, bias=False)
        nn.init.zeros_(self.query.weight)

    def forward(self, vision: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Return fused items [n, dimensions] of vectors of photos and texts, both [n, dimensions]."""
        both = torch.stack([self.vision(vision), self.text(text)], dim=1)
        weights = torch.softmax(self.query(torch.tanh(self.hidden(both))), dim=1)
        return (weights * both).sum(dim=1)


def identity(dimensions: int) -> nn.Linear:
    """Return a linear map that begins as the identity."""
    layer = nn.Linear(dimensions, dimensions, bias=False)
    nn.init.eye_(layer.weight)
    return layer
