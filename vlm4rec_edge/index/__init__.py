"""Index: the nearest vectors of a store, by an exact scan while that is quick and by HNSW beyond."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vlm4rec_edge.index.exact import ExactIndex
from vlm4rec_edge.index.hnsw import HnswIndex, is_installed, load_graph

if TYPE_CHECKING:
    from vlm4rec_edge.store.reader import StoreReader

# Up to here a scan reads 30 MB (at 384 dimensions), takes a millisecond or two, needs no file and misses nothing.
EXACT_LIMIT = 20_000
# Loading and checking a graph takes as long as about 80 exact scans of 100,000 vectors (benchmarks/results/scale.md), and
# fewer of more; so a process that asks less often than this never pays for it.
GRAPH_AFTER = 50

__all__ = ["EXACT_LIMIT", "GRAPH_AFTER", "ExactIndex", "LargeIndex", "VectorIndex", "open_index"]


class VectorIndex(Protocol):
    """Nearest rows of a vector matrix by inner product, which is the cosine because rows are unit vectors.

    Several threads may ask at once.
    """

    @property
    def name(self) -> str:
        """``exact`` or ``hnsw``: how the next query is answered."""
        ...

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows, int64, and scores, float32, of the ``count`` best, best first; fewer where there are fewer.

        ``query`` has shape [dimensions], float32.
        """
        ...


class LargeIndex:
    """Many vectors: the first ``graph_after`` queries scan the memory map, later ones go through the HNSW graph.

    So a fresh process answers at once, and a long-lived one answers fast. Where there is no graph, or it is damaged, or
    hnswlib is not installed, every query is a scan: slower, never wrong.
    """

    def __init__(self, store: StoreReader, graph_after: int) -> None:
        self._store = store
        self._graph_after = graph_after if is_installed() else 1  # then the first query tells what is missing
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._answered = 0
        self._is_loaded = False
        self._index: ExactIndex | HnswIndex = ExactIndex(store.vectors)
        self._switch_if_worth_it(answered=0)

    @property
    def name(self) -> str:
        """``exact`` or ``hnsw``: how the next query is answered."""
        return self._index.name

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best rows and their scores, best first."""
        answer = self._index.top(query, count)
        if self._is_loaded:
            return answer
        with self._lock:
            self._answered += 1
            answered = self._answered
        self._switch_if_worth_it(answered)
        return answer

    def graph(self) -> HnswIndex | None:
        """Return the graph, loaded now if it was not yet, for who is about to ask often; None if there is none."""
        with self._loading:
            if not self._is_loaded:  # once: what is damaged now is damaged later
                self._index = load_graph(self._store) or self._index
                self._is_loaded = True
            return self._index if isinstance(self._index, HnswIndex) else None

    def _switch_if_worth_it(self, answered: int) -> None:
        # Other threads go on scanning while this one loads.
        if answered == self._graph_after:
            self.graph()


def open_index(store: StoreReader, *, exact_limit: int = EXACT_LIMIT, graph_after: int = GRAPH_AFTER) -> VectorIndex:
    """Return the index of a store: exact up to ``exact_limit`` vectors, beyond it HNSW after ``graph_after`` queries."""
    if len(store.vectors) <= exact_limit:
        return ExactIndex(store.vectors)
    return LargeIndex(store, graph_after)
