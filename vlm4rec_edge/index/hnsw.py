"""HNSW search through hnswlib.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs", arXiv 1603.09320. ``M`` and ``ef`` are named there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.errors import MissingDependencyError, StoreError
from vlm4rec_edge.index.exact import ExactIndex, best_of

INSTALL_HNSWLIB = 'pip install "vlm4rec-edge[hnsw]" (or pip install hnswlib)'

# 16 links a node suits text embeddings of a few hundred dimensions (hnswlib's ALGO_PARAMS.md: 12 to 48).
LINKS = 16
EF_CONSTRUCTION = 200
# Width of the search, never below a multiple of what is asked for. hnswlib does not save it with the graph.
EF_SEARCH = 128
_EF_PER_RESULT = 2
_ALL_CORES = -1  # hnswlib's word for them
# A fixed seed gives the same graph for the same rows when one thread builds it.
_SEED = 100
# Rows added between two looks at Ctrl-C.
_BLOCK_ROWS = 10_000
# Rows whose vectors in the graph are compared with the store's: does this graph belong to this store at all?
_COMPARED_ROWS = 64


class HnswIndex:
    """A graph over vectors; thread-safe.

    Raises:
        MissingDependencyError: hnswlib is not installed.
    """

    name = "hnsw"

    def __init__(self) -> None:
        if not is_installed():
            raise MissingDependencyError(f"HNSW search needs hnswlib. Install it with: {INSTALL_HNSWLIB}")
        self.settings = {"links": LINKS, "ef_construction": EF_CONSTRUCTION}
        self._graph: Any = None
        self._exact = ExactIndex()
        self._lock = threading.Lock()
        self._asking_wide = 0
        self._width = EF_SEARCH

    def build(self, vectors: np.ndarray) -> None:
        """Add to the graph what it lacks of ``vectors``, on all cores."""
        graph = self._graph or _empty(vectors)
        if self._graph is None:
            graph.init_index(max_elements=len(vectors), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=_SEED)
        else:
            graph.resize_index(len(vectors))
        for first in range(graph.get_current_count(), len(vectors), _BLOCK_ROWS):
            last = min(first + _BLOCK_ROWS, len(vectors))
            graph.add_items(vectors[first:last], np.arange(first, last))
        self._hold(graph, vectors)

    def search(self, queries: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the nearest rows and their scores for each of ``queries`` [n, dimensions]; for many on all cores."""
        count = min(count, int(self._graph.get_current_count()))
        width = _EF_PER_RESULT * count
        try:
            with nullcontext() if width <= EF_SEARCH else self._as_wide_as(width):
                threads = 1 if len(queries) == 1 else _ALL_CORES
                found, distances = self._graph.knn_query(queries, k=count, num_threads=threads)
        except RuntimeError:  # the links do not lead to as many as were asked for (hnswlib issues 321, 444)
            if len(queries) == 1:
                return self._exact.search(queries, count)
            return [self.search(query[None], count)[0] for query in queries]
        return [_sorted(*answer) for answer in zip(found.astype(np.int64), np.float32(1) - distances, strict=True)]

    def save(self, path: Path) -> None:
        """Write the graph.

        Raises:
            OSError, RuntimeError: it cannot be written.
        """
        self._graph.save_index(str(path))
        with path.open("r+b") as stream:
            os.fsync(stream.fileno())
        if path.stat().st_size != self._graph.index_file_size():  # hnswlib does not look whether its writes succeed
            raise OSError("the disk is full")

    def load(self, path: Path, vectors: np.ndarray) -> None:
        """Hold a saved graph. hnswlib crashes on some damaged files, so it must be known to be whole.

        Raises:
            StoreError: the graph is of other vectors.
            OSError, RuntimeError: it cannot be read.
        """
        graph = _empty(vectors)
        graph.load_index(str(path), max_elements=len(vectors))
        some = np.unique(np.linspace(0, len(vectors) - 1, _COMPARED_ROWS, dtype=np.int64))
        if graph.get_current_count() != len(vectors) or not np.array_equal(graph.get_items(some), vectors[some]):
            raise StoreError(f"{path} is a graph of other vectors.")
        self._hold(graph, vectors)

    def _hold(self, graph: Any, vectors: np.ndarray) -> None:
        self._graph, self._exact = graph, ExactIndex(vectors)
        self._set_width(EF_SEARCH)

    @contextmanager
    def _as_wide_as(self, width: int) -> Iterator[None]:
        """Keep the search at least so wide: the width is the graph's, shared by all threads that ask it just now."""
        with self._lock:
            self._asking_wide += 1
            self._set_width(max(width, self._width))
        try:
            yield
        finally:
            with self._lock:
                self._asking_wide -= 1
                if self._asking_wide == 0:
                    self._set_width(EF_SEARCH)

    def _set_width(self, width: int) -> None:
        self._width = width
        self._graph.set_ef(width)


def is_installed() -> bool:
    """Whether hnswlib can be imported."""
    try:
        import hnswlib  # noqa: F401
    except ImportError:
        return False
    return True


def _empty(vectors: np.ndarray) -> Any:
    import hnswlib

    return hnswlib.Index(space="ip", dim=vectors.shape[1])


def _sorted(rows: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    best = best_of(scores, rows, len(rows))
    return rows[best], scores[best]
