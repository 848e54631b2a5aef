"""Exact search: every vector is looked at."""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path

import numpy as np

_NO_VECTORS = np.zeros((0, 0), np.float32)


class ExactIndex:
    """A scan over a matrix of unit vectors [rows, dimensions], float32; may be a memory map.

    As a back end of a large index it needs nothing in its file.
    """

    name = "exact"

    def __init__(self, vectors: np.ndarray = _NO_VECTORS) -> None:
        self.settings: dict[str, int] = {}
        self.build(vectors)

    def build(self, vectors: np.ndarray) -> None:
        """Hold ``vectors``."""
        self._vectors = vectors
        self._is_expected = False

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best rows and their scores, best first; equal scores in row order."""
        if not self._is_expected:
            _expect_scan(self._vectors)
            self._is_expected = True
        scores = np.asarray(self._vectors @ query.astype(np.float32, copy=False))
        best = best_of(scores, None, count)
        return best, scores[best]

    def search(self, queries: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return what ``top`` returns for each of ``queries`` [n, dimensions]."""
        return [self.top(query, count) for query in queries]

    def save(self, path: Path) -> None:
        """Write an empty file, the mark that this index is scanned."""
        path.write_bytes(b"")

    def load(self, path: Path, vectors: np.ndarray) -> None:  # noqa: ARG002 (there is nothing in the file)
        """Hold ``vectors``."""
        self.build(vectors)


def best_of(scores: np.ndarray, rows: np.ndarray | None, count: int) -> np.ndarray:
    """Return the positions of the ``count`` highest scores, int64, best first; equal ones by ``rows`` or position."""
    count = min(count, len(scores))
    if count == 0:
        return np.zeros(0, np.int64)
    if count == len(scores):
        return np.lexsort((np.arange(count) if rows is None else rows, -scores))
    # Every row as good as the last wanted one is looked at, so that a tie there is not decided at random.
    worst = np.partition(scores, len(scores) - count)[len(scores) - count]
    best = np.flatnonzero(scores >= worst)
    order = np.lexsort((best if rows is None else rows[best], -scores[best]))
    return np.asarray(best[order[:count]], dtype=np.int64)


def _expect_scan(vectors: np.ndarray) -> None:
    """Have a mapped file read ahead as one piece; page by page, a file that is not in memory yet takes three times as long."""
    source = getattr(vectors, "_mmap", None)
    if source is not None and hasattr(source, "madvise"):  # Linux and macOS
        with suppress(OSError):
            source.madvise(mmap.MADV_SEQUENTIAL)
            source.madvise(mmap.MADV_WILLNEED)
