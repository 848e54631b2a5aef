"""Exact search: every vector is looked at."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np


class ExactIndex:
    """A scan over a matrix of unit vectors [rows, dimensions], float32; may be a memory map."""

    name = "exact"

    def __init__(self, vectors: np.ndarray) -> None:
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


def best_of(scores: np.ndarray, rows: np.ndarray | None, count: int) -> np.ndarray:
    """Return the positions of the ``count`` highest scores, int64, best first; equal ones by ``rows`` or position."""
    count = min(count, len(scores))
    if count == 0:
        return np.zeros(0, np.int64)
    if count == len(scores):
        return np.lexsort((np.arange(count) if rows is None else rows, -scores))
    # Every row as good as the last wanted one is looked at, so that a tie there is not decided by chance.
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
