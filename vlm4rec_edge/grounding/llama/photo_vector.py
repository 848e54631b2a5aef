"""The photo's own vector: the mean of its image tokens over all its views, as they come from the projector."""

from __future__ import annotations

import numpy as np


class TokenMean:
    """The mean of image tokens that come view by view."""

    def __init__(self) -> None:
        self._sum: np.ndarray | None = None

    def add(self, embedding: np.ndarray) -> None:
        """Add the tokens of one view, [tokens, width], float32."""
        own = embedding.sum(axis=0, dtype=np.float64)
        self._sum = own if self._sum is None else self._sum + own

    def vector(self) -> np.ndarray | None:
        """Return the mean scaled to length 1, [width], float32; None where nothing was added."""
        return None if self._sum is None else np.asarray(self._sum / np.linalg.norm(self._sum), np.float32)
