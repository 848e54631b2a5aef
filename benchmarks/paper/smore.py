"""SMORE: photos and texts filtered and fused as spectra, spread over graphs of like items, weighed by what users did.

Ong and Khong, "Spectrum-based modality representation fusion graph convolutional network for multimodal recommendation",
WSDM 2025 (arXiv 2412.14978). Written from its abstract and checked, part by part, against the authors' published program
(github.com/kennethorq/SMORE); no line is theirs. Departures are in ``smore_training``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from paper.graphs import Graph


@dataclass(frozen=True)
class Graphs:
    """Who took what (``interactions`` of users and items; ``taken``, from users to items) and which items are alike."""

    interactions: Graph
    taken: Graph
    vision: Graph
    text: Graph
    fusion: Graph


@dataclass(frozen=True)
class Embeddings:
    """Of users, then items, [users + items, width]: the final ones, and the two that the contrast compares."""

    final: torch.Tensor
    content: torch.Tensor
    behaviour: torch.Tensor


class Smore(nn.Module):
    """The network; a forward pass gives the embeddings of all users and items.

    Args:
        users: How many users.
        items: How many items.
        dimensions: Of the vectors of photos and of texts.
        width: Of the embeddings; even.
        layers: Steps over the graph of users and items.
        dropout: Part of the preferences that is left out in training.
    """

    def __init__(self, users: int, items: int, dimensions: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self._users, self._items, self._layers = users, items, layers
        # Two tables, as the authors': the first values of users do not depend on how many items there are.
        tables = [nn.init.xavier_uniform_(torch.empty(count, width)) for count in (users, items)]
        self.ids = nn.Parameter(torch.cat(tables))
        self.narrow = nn.ModuleDict({view: nn.Linear(dimensions, width) for view in ("vision", "text")})
        views = ("vision", "text", "fusion")
        self.filters = nn.ParameterDict({view: torch.view_as_complex(torch.randn(width // 2 + 1, 2)) for view in views})
        self.gates = nn.ModuleDict({view: _gate(width) for view in views})
        self.preferences = nn.ModuleDict({view: _gate(width) for view in views})
        self.attention = nn.ModuleDict({view: _attention(width) for view in ("vision", "text")})
        self.dropout = nn.Dropout(dropout)

    def forward(self, vision: torch.Tensor, text: torch.Tensor, graphs: Graphs) -> Embeddings:
        """Return the embeddings for vectors of photos and texts, both [items, dimensions]."""
        spectra = self.spectra(self.narrow["vision"](vision), self.narrow["text"](text))
        behaviour = self._behaviour(graphs.interactions)
        own = self.ids[self._users :]
        views = {}
        for view, signal in spectra.items():
            items = getattr(graphs, view).spread(own * self.gates[view](signal))
            views[view] = torch.cat([graphs.taken.spread(items), items])
        content = self._content(views, behaviour)
        return Embeddings(behaviour + content, content, behaviour)

    def spectra(self, vision: torch.Tensor, text: torch.Tensor) -> dict[str, torch.Tensor]:
        """Filter each modality's spectrum, and the product of both: [items, width] each, back in the space of values.

        A filter is one complex number for each frequency of the discrete Fourier transform along an item's values. The
        product of two spectra is the circular convolution of both signals.
        """
        seen, said = (torch.fft.rfft(signal, dim=1, norm="ortho") for signal in (vision, text))
        width = vision.shape[1]
        return {
            view: torch.fft.irfft(spectrum * self.filters[view], n=width, dim=1, norm="ortho")
            for view, spectrum in (("vision", seen), ("text", said), ("fusion", seen * said))
        }

    def _behaviour(self, graph: Graph) -> torch.Tensor:
        layer = total = self.ids
        for _ in range(self._layers):
            layer = graph.spread(layer)
            total = total + layer
        return total / (self._layers + 1)

    def _content(self, views: dict[str, torch.Tensor], behaviour: torch.Tensor) -> torch.Tensor:
        """Weigh the modalities by what their fusion asks for, then all three by what the behaviour prefers."""
        weighed = {
            view: torch.softmax(ask(views["fusion"]), dim=1) * views[view] for view, ask in self.attention.items()
        }
        weighed["fusion"] = views["fusion"]
        preferred = [self.dropout(self.preferences[view](behaviour)) * weighed[view] for view in weighed]
        return torch.stack(preferred).mean(dim=0)


def _gate(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.Sigmoid())


def _attention(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width, bias=False))
