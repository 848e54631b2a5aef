"""HNSW search through hnswlib; the graph file is derived from the store and remade when it is missing or damaged.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs", arXiv 1603.09320. ``M`` and ``ef`` are named there.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.models.manifest import sha256_of

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


def graph_path(folder: Path, encoder_fingerprint: str, rows: int) -> Path:
    """Return where the graph of a store lies; the name tells whose vectors and how many it was built from."""
    return folder / f"hnsw-{encoder_fingerprint[:16]}-{rows}.bin"


def open_hnsw(folder: Path, vectors: np.ndarray, encoder_fingerprint: str) -> HnswIndex:
    """Load the graph that belongs to ``vectors`` [rows, dimensions], or build it anew, and save it if that is possible."""
    path = graph_path(folder, encoder_fingerprint, len(vectors))
    graph = _load(path, vectors)
    if graph is None:
        graph = _build(vectors)
        with suppress(OSError, RuntimeError):  # a read-only or full disk: the next process builds again
            _save(graph, path)
    return HnswIndex(graph)


def build_hnsw(folder: Path, vectors: np.ndarray, encoder_fingerprint: str) -> None:
    """Build and save the graph of a store, and remove those of earlier states.

    Raises:
        StoreError: the graph can not be written.
    """
    path = graph_path(folder, encoder_fingerprint, len(vectors))
    if _load(path, vectors) is None:
        try:
            _save(_build(vectors), path)
        except (OSError, RuntimeError) as error:
            raise StoreError(f"{path} can not be written: {error}.") from error
    for old in folder.glob("hnsw-*"):
        if old.stem != path.stem:
            old.unlink(missing_ok=True)


def _new(dimensions: int) -> Any:
    import hnswlib

    return hnswlib.Index(space="ip", dim=dimensions)


def _build(vectors: np.ndarray) -> Any:
    graph = _new(vectors.shape[1])
    graph.init_index(max_elements=len(vectors), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=_SEED)
    graph.add_items(vectors, np.arange(len(vectors)))
    return graph


def _save(graph: Any, path: Path) -> None:
    """Write the graph and then its stamp; a graph without a fitting stamp does not count."""
    stamp = path.with_suffix(".json")
    stamp.unlink(missing_ok=True)
    graph.save_index(str(path))
    stamp.write_text(json.dumps({"sha256": sha256_of(path), "links": LINKS, "ef_construction": EF_CONSTRUCTION}))


def _load(path: Path, vectors: np.ndarray) -> Any:
    """Return the saved graph, or None if there is none or it is not what was saved (hnswlib would crash on such a file)."""
    try:
        stamp = json.loads(path.with_suffix(".json").read_text())
        if stamp["sha256"] != sha256_of(path):
            return None
        graph = _new(vectors.shape[1])
        graph.load_index(str(path))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
    return graph if graph.get_current_count() == len(vectors) else None
