"""From the vectors of a history to one vector that stands for the shopper."""

from __future__ import annotations

import numpy as np

# Below this length a mean has no direction left: the items point exactly away from each other.
_NO_DIRECTION = 1e-6


def mean_profile(vectors: np.ndarray) -> np.ndarray:
    """Return the mean of ``vectors`` [n, dimensions], scaled to unit length: [dimensions], float32.

    The paper's profile (Valencia et al., arXiv 2603.12625): u = (1/n) * sum of v_i, matched by cosine. Scaling does not
    change the order of the matches and makes their scores cosines.

    Raises:
        ValueError: there is no vector, or their mean is zero.
    """
    if len(vectors) == 0:
        raise ValueError("A profile needs at least one item.")
    mean = np.asarray(vectors, dtype=np.float64).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < _NO_DIRECTION:
        raise ValueError("The items of this history cancel each other out; their mean has no direction.")
    return np.asarray(mean / length, dtype=np.float32)
