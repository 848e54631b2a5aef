"""Gating: each value of an item is taken from its photo or from its text, in a learned proportion."""

from __future__ import annotations

import torch
from torch import nn

from paper.attention import identity


class GatedFusion(nn.Module):
    """The gated multimodal unit (Arevalo et al., "Gated multimodal units for information fusion", 2017, equation 5).

    z = sigmoid(G [x_v, x_t]); the item is z * h_v + (1 - z) * h_t with h_m = W_m x_m. Departure: no tanh around W_m x_m. W
    begins as the identity and G as zero, so the untrained item is the 50/50 average.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.vision, self.text = identity(dimensions), identity(dimensions)
        self.gate = nn.Linear(2 * dimensions, dimensions)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, vision: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Return fused items [n, dimensions] of vectors of photos and texts, both [n, dimensions]."""
        gate = torch.sigmoid(self.gate(torch.cat([vision, text], dim=1)))
        return gate * self.vision(vision) + (1 - gate) * self.text(text)
