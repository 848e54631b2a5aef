"""The rank of each user's held-back item under many weights, in one pass over the catalog and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.evaluation.split import Split
from vlm4rec_edge.learning.factors import Factors
from vlm4rec_edge.mixture import Weights

# From positions of items to their unit content vectors: [n, dimensions], float32.
Content = Callable[[np.ndarray], np.ndarray]

# Scores at a time, 1 MB: they stay in a core's cache while all weights are tried on them.
_BLOCK_SCORES = 250_000
_LEAST_BLOCK = 64
# Histories whose vectors are read at a time.
_BLOCK_USERS = 256
# The same text scores the same up to rounding; so near, two items count as equal.
_EQUAL = 2e-6


@dataclass(frozen=True)
class Known:
    """What items are compared by.

    Attributes:
        content: Their content vectors.
        factors: Their factors; None if they are not compared by any.
        popularity: [items], float32, 0 to 1.
        seen: What factors are predicted from, where that is not the content alone.
    """

    content: Content
    factors: Factors | None
    popularity: np.ndarray
    seen: Content | None = None

    def parts(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return content, factors and popularity of items, each [n, its dimensions], float32."""
        content = self.content(positions)
        popularity = self.popularity[positions][:, None]
        if self.factors is None:
            return content, np.zeros_like(popularity), popularity
        seen = content if self.seen is None else self.seen(positions)
        return content, self.factors.of(seen, positions), popularity


def ranks(
    split: Split, users: np.ndarray, known: Known, weights: Sequence[Weights], ties: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank, from 1, of each user's held-back item among all items but the history.

    Args:
        split: One held-back item a user.
        users: Positions in the split, [n].
        known: What items are compared by.
        weights: Of content, factors and popularity.
        ties: Which place among items of equal score the held-back one gets, [n], from 0 to below 1.

    Returns:
        The ranks by ``weights`` [weights, n], and those by popularity alone [n]; int32.
    """
    shares = [(1 - one.together, one.together, one.often) for one in weights] + [(0.0, 0.0, 1.0)]
    query = _queries(split, users, known)
    tests = np.array([split.test[user][0] for user in users], np.int64)
    own = [np.einsum("nd,nd->n", *pair) for pair in zip(query, known.parts(tests), strict=True)]
    limits = [(np.asarray(row, np.float32) @ np.stack(own))[:, None] for row in shares]
    pairs = {row[:2] for row in shares}
    masked = _Masks(split, users)
    above, at_least = np.zeros((2, len(shares), len(users)), np.int64)
    step = max(_LEAST_BLOCK, _BLOCK_SCORES // len(users))
    for start in range(0, split.item_count, step):
        positions = np.arange(start, min(start + step, split.item_count))
        reads, bought, often = (asked @ part.T for asked, part in zip(query, known.parts(positions), strict=True))
        mixed = {pair: np.float32(pair[0]) * reads + np.float32(pair[1]) * bought for pair in pairs}
        hidden = masked.between(start, start + step)
        for row, (share, together, weight) in enumerate(shares):
            beyond = np.float32(weight) * often
            beyond += mixed[share, together]
            beyond -= limits[row]
            beyond[hidden] = -np.inf
            above[row] += _count(beyond > _EQUAL)
            at_least[row] += _count(beyond >= -_EQUAL)
    found = (1 + above + np.floor(ties * (at_least - above))).astype(np.int32)
    return found[:-1], found[-1]


def _queries(split: Split, users: np.ndarray, known: Known) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean content, factors and popularity of each history."""
    blocks = []
    for start in range(0, len(users), _BLOCK_USERS):
        histories = [split.history[user] for user in users[start : start + _BLOCK_USERS]]
        sizes = np.array([len(history) for history in histories])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        parts = known.parts(np.concatenate(histories))
        blocks.append(
            [np.asarray(np.add.reduceat(part, starts, axis=0) / sizes[:, None], np.float32) for part in parts]
        )
    content, factors, popularity = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return content, factors, popularity


class _Masks:
    """Which items each user has already, by blocks of items."""

    def __init__(self, split: Split, users: np.ndarray) -> None:
        histories = [split.history[user] for user in users]
        items = np.concatenate(histories)
        order = np.argsort(items, kind="stable")
        self._items = items[order]
        self._rows = np.repeat(np.arange(len(users)), [len(history) for history in histories])[order]

    def between(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns to hide in the scores of the items from ``start`` to below ``end``."""
        first, last = np.searchsorted(self._items, [start, end])
        return self._rows[first:last], self._items[first:last] - start


def _count(found: np.ndarray) -> np.ndarray:
    """Return how many are true in each row; several times faster than summing booleans as integers."""
    return np.asarray(found.view(np.uint8).sum(axis=1, dtype=np.uint32))
