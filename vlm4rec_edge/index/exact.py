"""Exact search: every vector is looked at."""

from __future__ import annotations

import numpy as np


class ExactIndex:
    """A scan over a matrix of unit vectors [rows, dimensions], float32; may be a memory map."""

    name = "exact"

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best rows and their scores, best first; equal scores in row order."""
        scores = np.asarray(self._vectors @ query.astype(np.float32, copy=False))
        count = min(count, len(scores))
        if count == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        best = np.argpartition(-scores, count - 1)[:count]
        best = best[np.lexsort((best, -scores[best]))]
        return best, scores[best]
