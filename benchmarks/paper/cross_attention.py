"""Cross-modal attention: the text looks at parts of the photo's vector, and the photo at parts of the text's."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from paper.attention import identity

# One vector is a single key, to which attention is always 1: it is cut into parts of this many values.
PART = 32


class CrossModalAttention(nn.Module):
    """Co-attention (Lu et al., "ViLBERT", NeurIPS 2019: queries of one modality, keys and values of the other).

    Each vector is cut into parts of 32 values with learned places. h_m' = h_m + O_m attention(h_m; other), the item the mean
    of both h_m'. Departure: ViLBERT has words and regions where there are parts here, as both encoders give one vector. O
    begins as zero and h_m as x_m, so the untrained item is the 50/50 average.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.vision, self.text = identity(dimensions), identity(dimensions)
        self.places = nn.Parameter(torch.randn(2, dimensions // PART, PART) / dimensions**0.5)
        self.to_vision, self.to_text = _Attention(), _Attention()

    def forward(self, vision: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Return fused items [n, dimensions] of vectors of photos and texts, both [n, dimensions]."""
        seen, said = self.vision(vision), self.text(text)
        parts = [whole.unflatten(1, (-1, PART)) for whole in (seen, said)]
        places = self.places
        looked = self.to_vision(parts[1] + places[1], parts[0] + places[0], parts[0])
        heard = self.to_text(parts[0] + places[0], parts[1] + places[1], parts[1])
        return (seen + heard.flatten(1) + said + looked.flatten(1)) / 2


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(PART, PART, bias=False) for _ in range(3))
        self.out = nn.Linear(PART, PART, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, asking: torch.Tensor, asked: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        answers = functional.scaled_dot_product_attention(self.query(asking), self.key(asked), self.value(values))
        return self.out(answers)
