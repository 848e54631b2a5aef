"""The graphs of SMORE: who took what, and which items are alike, each normalised symmetrically, as sparse matrices."""

from __future__ import annotations

import numpy as np
import torch

from vlm4rec_edge.evaluation import ItemLists

# Similarities computed at a time: 40 MB for 10,000 items.
_BLOCK = 1024


def interactions_graph(history: ItemLists, item_count: int) -> torch.Tensor:
    """Return D^-1/2 A D^-1/2 of users and items, users first, [users + items, users + items].

    The graph of LightGCN (He et al., SIGIR 2020, equation 3).
    """
    count = len(history)
    user = np.repeat(np.arange(count), history.sizes)
    item = history.items.astype(np.int64) + count
    degrees = np.bincount(np.concatenate([user, item]), minlength=count + item_count)
    values = 1 / np.sqrt(degrees[user] * degrees[item])
    return _sparse(np.concatenate([user, item]), np.concatenate([item, user]), np.tile(values, 2), count + item_count)


def users_part(graph: torch.Tensor, users: int) -> torch.Tensor:
    """Return the rows of the users and the columns of the items of ``interactions_graph``: [users, items]."""
    (rows, columns), values = graph.indices(), graph.values()
    there = (rows < users) & (columns >= users)
    size = (users, graph.shape[0] - users)
    return torch.sparse_coo_tensor(torch.stack([rows[there], columns[there] - users]), values[there], size).coalesce()


def neighbours_graph(vectors: np.ndarray, neighbours: int) -> torch.Tensor:
    """Return the graph of each item's nearest ones, itself among them, weighed by cosine, [items, items].

    Weights are divided by the square roots of both items' sums of weights; no weight is below zero.

    Args:
        vectors: Unit vectors, [items, dimensions].
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
    scale = np.where(sums > 0, 1 / np.sqrt(np.maximum(sums, np.finfo(float).tiny)), 0)
    return _sparse(rows, columns, scale[rows] * values * scale[columns], count)


def larger_of(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the graph of all edges of two graphs without negative weights, each with the larger of its weights."""
    size = one.shape[0]
    numbers = np.concatenate([(graph.indices()[0] * size + graph.indices()[1]).numpy() for graph in (one, other)])
    edges, place = np.unique(numbers, return_inverse=True)
    values = np.zeros(len(edges))
    np.maximum.at(values, place.reshape(-1), torch.cat([one.values(), other.values()]).numpy())
    return _sparse(edges // size, edges % size, values, size)


def _sparse(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, size: int) -> torch.Tensor:
    where = torch.from_numpy(np.stack([rows, columns]))
    return torch.sparse_coo_tensor(where, torch.from_numpy(values.astype(np.float32)), (size, size)).coalesce()
