"""Fewer of the same: maximal marginal relevance."""

from __future__ import annotations

import numpy as np

# How many candidates are looked at for each item that is wanted, and at least; more would only be chosen near
# diversity 1, where relevance no longer counts.
_POOL_FACTOR, _POOL_LEAST = 5, 50


def pool_size(k: int) -> int:
    """Return how many candidates to choose ``k`` items from."""
    return max(_POOL_FACTOR * k, _POOL_LEAST)


def diversify(vectors: np.ndarray, scores: np.ndarray, k: int, diversity: float) -> list[int]:
    """Return the positions of ``k`` candidates in the order in which they are chosen.

    Maximal marginal relevance (Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering
    documents and producing summaries", SIGIR 1998): the next item is the one with the largest

        (1 - diversity) * score - diversity * max over the chosen items of their cosine to it

    so 0 is the order of the scores, and 1 looks at the differences only.

    Args:
        vectors: The candidates, shape [n, dimensions], unit length, best first.
        scores: Their scores, shape [n].
        k: How many.
        diversity: From 0 to 1.
    """
    chosen: list[int] = []
    likeness = np.zeros(len(scores))  # nothing is chosen yet, so the best one comes first whatever the knob says
    left = np.ones(len(scores), dtype=bool)
    for _ in range(min(k, len(scores))):
        gain = (1 - diversity) * scores - diversity * likeness
        best = 0 if not chosen else int(np.argmax(np.where(left, gain, -np.inf)))
        likeness = np.maximum(likeness if chosen else -np.inf, vectors @ vectors[best])
        left[best] = False
        chosen.append(best)
    return chosen
