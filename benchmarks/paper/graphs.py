"""The graphs of SMORE: who took what, and which items are alike, each normalised symmetrically."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vlm4rec_edge.evaluation import ItemLists

# Similarities computed at a time: 40 MB for 10,000 items.
_BLOCK = 1024


@dataclass(frozen=True)
class Graph:
    """Weights of edges from rows to columns, [rows, columns]; ``backwards`` is the same transposed.

    torch would transpose the weights anew for every gradient, which takes six times as long as all else together.
    """

    forwards: torch.Tensor
    backwards: torch.Tensor

    def spread(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of its neighbours' vectors for each row, [rows, width], of ``vectors`` [columns, width]."""
        return _Spread.apply(vectors, self)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, vectors: torch.Tensor, graph: Graph) -> torch.Tensor:
        context.graph = graph
        return graph.forwards @ vectors

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return context.graph.backwards @ gradients[0].contiguous(), None


def graph_of(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, size: tuple[int, int]) -> Graph:
    """Return the graph of edges ``rows[i] -> columns[i]``, each once, with the weights ``values[i]``."""
    return Graph(_compressed(rows, columns, values, size), _compressed(columns, rows, values, size[::-1]))


def interactions_graphs(history: ItemLists, item_count: int) -> tuple[Graph, Graph]:
    """Return D^-1/2 A D^-1/2 of users and items, users first, and its part from users to items.

    The graph of LightGCN (He et al., SIGIR 2020, equation 3).
    """
    count = len(history)
    user, item = np.repeat(np.arange(count), history.sizes), history.items.astype(np.int64)
    values = 1 / np.sqrt(history.sizes[user] * np.bincount(item, minlength=item_count)[item])
    both = np.concatenate([user, item + count]), np.concatenate([item + count, user])
    everybody = graph_of(*both, np.tile(values, 2), (count + item_count, count + item_count))
    return everybody, graph_of(user, item, values, (count, item_count))


def neighbours_graph(vectors: np.ndarray, neighbours: int) -> Graph:
    """Return the graph of each item's nearest ones, itself among them, weighed by cosine.

    Weights are divided by the square roots of both items' sums of weights; no weight is below zero.

    Args:
        vectors: Unit vectors, [items, dimensions], float32.
        neighbours: How many of each item.
    """
    count = len(vectors)
    neighbours = min(neighbours, count)
    everything = torch.from_numpy(vectors)
    best = [torch.topk(some @ everything.T, neighbours, dim=1) for some in everything.split(_BLOCK)]
    values = torch.cat([found.values for found in best]).clamp(min=0).numpy().reshape(-1).astype(np.float64)
    columns = torch.cat([found.indices for found in best]).numpy().reshape(-1)
    rows = np.repeat(np.arange(count), neighbours)
    sums = np.bincount(rows, values, minlength=count)
    scale = np.where(sums > 0, 1 / np.sqrt(np.where(sums > 0, sums, 1)), 0)
    return graph_of(rows, columns, scale[rows] * values * scale[columns], (count, count))


def larger_of(one: Graph, other: Graph) -> Graph:
    """Return the graph of all edges of two graphs without negative weights, each with the larger of its weights."""
    size = one.forwards.shape[1]
    parts = [graph.forwards.to_sparse_coo().coalesce() for graph in (one, other)]
    numbers = np.concatenate([(part.indices()[0] * size + part.indices()[1]).numpy() for part in parts])
    edges, place = np.unique(numbers, return_inverse=True)
    values = np.zeros(len(edges))
    np.maximum.at(values, place.reshape(-1), torch.cat([part.values() for part in parts]).numpy())
    return graph_of(edges // size, edges % size, values, (len(one.forwards), size))


def _compressed(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    order = np.lexsort((columns, rows))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=size[0]))])
    arrays = starts.astype(np.int64), columns[order].astype(np.int64), values[order].astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Sparse CSR tensor support is in beta"
        )  # products are all that is used
        return torch.sparse_csr_tensor(*map(torch.from_numpy, arrays), size=size, check_invariants=True)
