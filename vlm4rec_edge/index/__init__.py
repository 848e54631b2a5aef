"""Index: the nearest vectors of a store, by an exact scan while that is quick and by HNSW beyond."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vlm4rec_edge.index.exact import ExactIndex
from vlm4rec_edge.index.hnsw import open_hnsw
from vlm4rec_edge.store.reader import StoreReader

# Up to here a scan reads 30 MB (at 384 dimensions), takes a millisecond or two, needs no file and misses nothing.
EXACT_LIMIT = 20_000

__all__ = ["EXACT_LIMIT", "ExactIndex", "VectorIndex", "open_index"]


class VectorIndex(Protocol):
    """Nearest rows of a vector matrix by inner product, which is the cosine because rows are unit vectors."""

    name: str

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows, int64, and scores, float32, of the ``count`` best, best first; fewer where there are fewer.

        ``query`` has shape [dimensions], float32.
        """
        ...


def open_index(store: StoreReader, *, exact_limit: int = EXACT_LIMIT) -> VectorIndex:
    """Return the index of a store: exact up to ``exact_limit`` vectors, else HNSW, loaded or rebuilt from the store."""
    if len(store.vectors) <= exact_limit:
        return ExactIndex(store.vectors)
    return open_hnsw(store)
