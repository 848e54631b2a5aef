"""HNSW search through hnswlib, over a graph file that is derived from the store and may be deleted at any time.

Where hnswlib is not installed there is no graph, and every search is a scan: said in a warning, never an error.

A graph holds the first rows of one vector file. Rows are only ever appended to a vector file, so an older graph stays
right: the rows after it are scanned exactly, and when they become many the writer lets the graph grow. Which rows
belong to items, the store decides when it is asked.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs", arXiv 1603.09320. ``M`` and ``ef`` are named there.
"""

from __future__ import annotations

import json
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.errors import StoreError, Vlm4RecWarning
from vlm4rec_edge.index.exact import ExactIndex, best_of

if TYPE_CHECKING:
    from vlm4rec_edge.store.reader import StoreReader

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
# Rows after the graph that are scanned instead: 15 MB (at 384 dimensions), about a millisecond. Adding one photo to a
# million must not rewrite 1.7 GB.
TAIL_ROWS = 10_000
# Rows added between two looks at Ctrl-C.
_BLOCK_ROWS = 10_000
# Rows whose vectors in the graph are compared with the store's: does this graph belong to this store at all?
_COMPARED_ROWS = 64


class HnswIndex:
    """A loaded graph over the first ``rows`` rows of ``vectors``, and an exact scan of those after it; thread-safe."""

    name = "hnsw"

    def __init__(self, graph: Any, vectors: np.ndarray) -> None:
        self._graph = graph
        self._rows = int(graph.get_current_count())
        tail = np.asarray(vectors[self._rows :])  # no memory map: only this part is to be read
        self._tail = ExactIndex(tail) if len(tail) else None
        self._all = ExactIndex(vectors)
        self._lock = threading.Lock()
        self._asking_wide = 0
        self._width = EF_SEARCH
        self._graph.set_ef(EF_SEARCH)

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best rows and their scores, best first; equal scores in row order."""
        in_graph = min(count, self._rows)
        if in_graph == 0:
            return self._all.top(query, count)
        try:
            found, distances = self._nearest(query, in_graph, threads=1)
        except RuntimeError:  # the links do not lead to as many as were asked for (hnswlib issues 321, 444)
            return self._all.top(query, count)
        return self._best(query, found[0], distances[0], count)

    def top_many(self, queries: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return for each of ``queries`` [n, dimensions] what ``top`` returns, on all cores."""
        in_graph = min(count, self._rows)
        try:
            found, distances = self._nearest(queries, in_graph, threads=_ALL_CORES)
        except RuntimeError:  # as above, for any of them
            return [self.top(query, count) for query in queries]
        return [self._best(*answer, count) for answer in zip(queries, found, distances, strict=True)]

    def _nearest(self, queries: np.ndarray, count: int, *, threads: int) -> Any:
        width = _EF_PER_RESULT * count
        with nullcontext() if width <= EF_SEARCH else self._as_wide_as(width):
            return self._graph.knn_query(queries, k=count, num_threads=threads)

    def _best(
        self, query: np.ndarray, found: np.ndarray, distances: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the best of what the graph found and of the rows after it."""
        rows, scores = found.astype(np.int64), np.float32(1) - distances
        if self._tail is not None:
            tail_rows, tail_scores = self._tail.top(query, count)
            rows = np.concatenate([rows, tail_rows + self._rows])
            scores = np.concatenate([scores, tail_scores])
        best = best_of(scores, rows, count)
        return rows[best], scores[best]

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


def load_graph(store: StoreReader) -> HnswIndex | None:
    """Return the saved graph of a store, or None if it is missing, damaged or too far behind, or hnswlib is not installed.

    hnswlib crashes on some damaged files, so the whole file is compared with its checksum first (about a second a GB).
    """
    if not is_installed():
        _warn(store, "each search scans all of them: the answers are the same, only slower")
        return None
    saved = _newest(store)
    graph = None if saved is None else _load(saved, store.vectors)
    return None if graph is None else HnswIndex(graph, store.vectors)


def build_hnsw(store: StoreReader) -> None:
    """Make the graph of a store, or let it grow, unless it is there undamaged; remove those of earlier states.

    Without hnswlib a graph that is missing stays missing, until somebody who has it writes the store.

    Raises:
        StoreError: the graph can not be written; all items are in the store nevertheless.
    """
    keep = _newest(store)
    if keep is None and not is_installed():
        _warn(
            store,
            "no search graph is written, until the same command runs with it: the answers are the same, only slower",
        )
        return
    if keep is None:
        keep = _path(store, len(store.vectors))
        try:
            _save(_make(store), keep)
        except (OSError, RuntimeError) as error:
            raise StoreError(
                f"The search graph {keep} can not be written: {error}. All items are stored; make room and run the same "
                "command again."
            ) from error
    for old in store.folder.glob("hnsw-*"):
        if old not in (keep, _stamp_path(keep)):
            with suppress(OSError):
                old.unlink()


def _warn(store: StoreReader, consequence: str) -> None:
    warnings.warn(
        f"{store.folder} holds {len(store.vectors):,} vectors and hnswlib is not installed, so {consequence}. "
        f"Install it with: {INSTALL_HNSWLIB}",
        Vlm4RecWarning,
        stacklevel=3,
    )


def _path(store: StoreReader, rows: int) -> Path:
    return store.folder / f"hnsw-{_stem(store)}-{rows}.bin"


def _stem(store: StoreReader) -> str:
    return Path(store.vector_file).stem.removeprefix("vectors-")


def _stamp_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _saved_graphs(store: StoreReader) -> list[tuple[int, Path]]:
    """Return rows and path of each graph that could serve this state of the store, largest first."""
    form = re.compile(rf"hnsw-{re.escape(_stem(store))}-(\d+)\.bin")
    found = [(int(match[1]), path) for path in store.folder.glob("hnsw-*.bin") if (match := form.fullmatch(path.name))]
    return sorted((entry for entry in found if 0 < entry[0] <= len(store.vectors)), reverse=True)


def _newest(store: StoreReader) -> Path | None:
    """Return the undamaged graph that serves this state of the store: the largest, and not too far behind."""
    for rows, path in _saved_graphs(store):
        if len(store.vectors) - rows <= TAIL_ROWS and _is_whole(path):
            return path
    return None


def _is_whole(path: Path) -> bool:
    """Whether a graph is what was saved."""
    try:
        stamp = json.loads(_stamp_path(path).read_text(encoding="utf-8"))
        return bool(stamp["sha256"] == sha256_of(path))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _load(path: Path, vectors: np.ndarray, *, capacity: int = 0) -> Any:
    """Return a saved graph, known to be whole, as hnswlib's own index, or None if it is of other vectors."""
    rows = int(path.stem.rpartition("-")[2])
    try:
        graph = _new(vectors.shape[1])
        graph.load_index(str(path), max_elements=max(rows, capacity))
        if graph.get_current_count() != rows:
            return None
        some = np.unique(np.linspace(0, rows - 1, _COMPARED_ROWS, dtype=np.int64))
        return graph if np.array_equal(graph.get_items(some), vectors[some]) else None
    except (OSError, RuntimeError):
        return None


def _new(dimensions: int) -> Any:
    import hnswlib

    return hnswlib.Index(space="ip", dim=dimensions)


def _make(store: StoreReader) -> Any:
    """Grow the largest earlier graph of the same vector file, or build from nothing."""
    vectors = store.vectors
    earlier = (_load(path, vectors, capacity=len(vectors)) for _, path in _saved_graphs(store) if _is_whole(path))
    graph = next((graph for graph in earlier if graph is not None), None)
    if graph is None:
        graph = _new(vectors.shape[1])
        graph.init_index(max_elements=len(vectors), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=_SEED)
    for first in range(graph.get_current_count(), len(vectors), _BLOCK_ROWS):
        last = min(first + _BLOCK_ROWS, len(vectors))
        graph.add_items(vectors[first:last], np.arange(first, last))
    return graph


def _save(graph: Any, path: Path) -> None:
    """Write the stamp and then the graph under its name, whole: a graph without a fitting stamp does not count."""
    with atomic_path(path) as part:
        graph.save_index(str(part))
        if part.stat().st_size != graph.index_file_size():  # hnswlib does not look whether its writes succeed
            raise OSError("the disk is full")
        stamp = {"sha256": sha256_of(part), "links": LINKS, "ef_construction": EF_CONSTRUCTION}
        _stamp_path(path).write_text(json.dumps(stamp), encoding="utf-8")
