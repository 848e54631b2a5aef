"""HNSW search through hnswlib; the graph file is derived from the store and remade when it is missing or damaged.

The graph holds every row of the vector file. Rows are only ever appended to a vector file, so a graph of fewer rows
grows into the current one; which rows belong to items, the store decides when it is asked.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs", arXiv 1603.09320. ``M`` and ``ef`` are named there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.models.manifest import sha256_of
from vlm4rec_edge.store.reader import StoreReader

# 16 links a node suits text embeddings of a few hundred dimensions (hnswlib's ALGO_PARAMS.md: 12 to 48).
LINKS = 16
EF_CONSTRUCTION = 200
# Width of the search, never below a multiple of what is asked for. hnswlib does not save it with the graph.
EF_SEARCH = 128
_EF_PER_RESULT = 2
# A fixed seed gives the same graph for the same rows when one thread builds it.
_SEED = 100


class HnswIndex:
    """A loaded graph over the rows of a store."""

    name = "hnsw"

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best rows and their scores, best first."""
        count = min(count, self._graph.get_current_count())
        if count == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        self._graph.set_ef(max(EF_SEARCH, _EF_PER_RESULT * count))
        rows, distances = self._graph.knn_query(query, k=count, num_threads=1)
        return rows[0].astype(np.int64), (1.0 - distances[0]).astype(np.float32)


def graph_path(store: StoreReader) -> Path:
    """Return where the graph of a store lies; the name tells of which vector file and how many rows it was built."""
    return store.folder / f"hnsw-{_stem(store)}-{len(store.vectors)}.bin"


def _stem(store: StoreReader) -> str:
    return Path(store.vector_file).stem.removeprefix("vectors-")


def load_graph(store: StoreReader) -> Any:
    """Return the saved graph of a store as hnswlib's own index, or None if it is missing, damaged or stale."""
    return _load(graph_path(store), store.vectors, len(store.vectors))


def open_hnsw(store: StoreReader) -> HnswIndex:
    """Load the graph that belongs to a store, or make it, and save it if that is possible."""
    graph = load_graph(store)
    if graph is None:
        graph = _make(store)
        with suppress(OSError, RuntimeError):  # a read-only or full disk: the next process makes it again
            _save(graph, graph_path(store))
    return HnswIndex(graph)


def build_hnsw(store: StoreReader) -> None:
    """Make and save the graph of a store if it is not there, and remove those of earlier states.

    Raises:
        StoreError: the graph can not be written.
    """
    path = graph_path(store)
    if load_graph(store) is None:
        try:
            _save(_make(store), path)
        except (OSError, RuntimeError) as error:
            raise StoreError(f"{path} can not be written: {error}.") from error
    for old in store.folder.glob("hnsw-*"):
        if old.stem != path.stem:
            with suppress(OSError):
                old.unlink()


def _new(dimensions: int) -> Any:
    import hnswlib

    return hnswlib.Index(space="ip", dim=dimensions)


def _make(store: StoreReader) -> Any:
    """Grow the largest earlier graph of the same vector file, or build from nothing."""
    vectors = store.vectors
    for rows, path in _earlier_graphs(store):
        graph = _load(path, vectors, rows, capacity=len(vectors))
        if graph is not None:
            break
    else:
        rows, graph = 0, _new(vectors.shape[1])
        graph.init_index(max_elements=len(vectors), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=_SEED)
    graph.add_items(vectors[rows:], np.arange(rows, len(vectors)))
    return graph


def _earlier_graphs(store: StoreReader) -> Iterator[tuple[int, Path]]:
    form = re.compile(rf"hnsw-{re.escape(_stem(store))}-(\d+)\.bin")
    found = [(int(match[1]), path) for path in store.folder.glob("hnsw-*.bin") if (match := form.fullmatch(path.name))]
    yield from sorted((entry for entry in found if entry[0] < len(store.vectors)), reverse=True)


def _save(graph: Any, path: Path) -> None:
    """Write the graph and then its stamp; a graph without a fitting stamp does not count."""
    stamp = path.with_suffix(".json")
    stamp.unlink(missing_ok=True)
    graph.save_index(str(path))
    stamp.write_text(json.dumps({"sha256": sha256_of(path), "links": LINKS, "ef_construction": EF_CONSTRUCTION}))


def _load(path: Path, vectors: np.ndarray, rows: int, *, capacity: int = 0) -> Any:
    """Return the saved graph, or None if there is none or it is not what was saved (hnswlib would crash on such a file)."""
    try:
        stamp = json.loads(path.with_suffix(".json").read_text())
        if stamp["sha256"] != sha256_of(path):
            return None
        graph = _new(vectors.shape[1])
        graph.load_index(str(path), max_elements=max(rows, capacity))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    return graph if graph.get_current_count() == rows else None
