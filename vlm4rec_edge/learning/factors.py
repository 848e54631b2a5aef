"""Co-purchase factors: what is bought together, smoothed over items with similar content, as a short vector an item.

With unit content vectors C [items, d] of the items bought, and the co-purchases of all histories h

    G_ij = sum over the histories with i and j of 1 / (|h| - 1), divided by sqrt(d_i d_j) with d the row sums, G_ii = 0
    K = C C' + kappa I                   cosine similarity of the items' content, kappa more for an item and itself
    H = K (K + lambda I)^-1              smoothing over items with similar content
    H G H ~ V L V'                       its largest positive eigenvalues

the factors of an item that was bought are ``unit(V_i sqrt(L))``. What was never bought has those that its words predict:
``rho unit(W' c)`` with ``W = C' (C C' + (kappa + lambda) I)^-1 G H V L^-1/2`` and rho the mean cosine between the two over
items that were bought, so that it is trusted as far as texts predict purchases.

Related: EASE (Steck, arXiv 1905.03375) for the matrix of co-purchases, L3AE (arXiv 2508.13500) and MARec (arXiv
2404.13298) for mixing it with content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.split import ItemLists
from vlm4rec_edge.mixture import predicted_factors
from vlm4rec_edge.optional import optional

# Eigenvalues below this are noise of float32; their factors would be divided by nearly nothing.
_LEAST_EIGENVALUE = 1e-5
_TOLERANCE = 1e-3
_TINY = 1e-12
# Content vectors read at a time.
_BLOCK = 8192
# Of more, only those bought most have factors of their own, the others those that their words predict: it bounds time and
# memory (1.5 kB an item and twice that for the eigenvectors), and a handful of purchases says little beyond the words.
MOST_ITEMS = 200_000


@dataclass(frozen=True)
class FactorSettings:
    """How purchases become factors.

    Attributes:
        count: Length of an item's factors.
        smoothing: lambda above: how far purchases count for items with similar content.
        itself: kappa above: how far an item stands for itself, whatever its content.
    """

    count: int = 64
    smoothing: float = 1.0
    itself: float = 0.3


@dataclass(frozen=True)
class Factors:
    """What was learned.

    Attributes:
        bought: Positions of the items that have factors of their own, ascending, [n], int64: those that were bought.
        vectors: Their factors, [n, count], float32, unit length.
        projection: W above, [dimensions, count], float32.
        trust: rho above, 0 to 1.
        buyers: How many histories have each item, [items], int64.
    """

    bought: np.ndarray
    vectors: np.ndarray
    projection: np.ndarray
    trust: float
    buyers: np.ndarray

    def of(self, content: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the factors of items at ``positions`` with these content vectors [n, dimensions]: [n, count], float32."""
        found = predicted_factors(content, self.projection, self.trust)
        places = np.searchsorted(self.bought, positions)
        places[places == len(self.bought)] = 0
        is_bought = self.bought[places] == positions
        found[is_bought] = self.vectors[places[is_bought]]
        return found


def learn_factors(
    purchases: ItemLists,
    content: Callable[[np.ndarray], np.ndarray],
    items: int,
    settings: FactorSettings | None = None,
) -> Factors:
    """Return the factors of the items that ``purchases`` name; of more than ``MOST_ITEMS`` of those bought most.

    Memory grows with the items bought (their content vectors and some 130 numbers each) and the purchases, never with their
    pairs.

    Args:
        purchases: What each user bought, each item once.
        content: From positions of items to their content vectors, unit length: [n, dimensions], float32.
        items: How many there are.
        settings: Default: ``FactorSettings()``.

    Raises:
        UsageError: too little was bought together to learn from.
        MissingDependencyError: scipy is not installed.
    """
    settings = settings or FactorSettings()
    linalg = _optional("scipy.sparse.linalg")
    buyers = np.bincount(purchases.items, minlength=items)
    bought = np.flatnonzero(buyers)
    if len(bought) > MOST_ITEMS:
        bought = np.sort(np.argsort(-buyers, kind="stable")[:MOST_ITEMS])
        has_own = np.zeros(items, bool)
        has_own[bought] = True
        purchases = purchases.only(has_own[purchases.items])
    together = _CoPurchases(purchases, bought, items)
    if len(bought) < 3 or not together.pairs:
        raise UsageError(
            "Too little was bought together to learn from: it takes at least three items of this index, and two of them "
            "in one history; give more purchases."
        )
    smooth = _Smoothing(_gathered(content, bought), settings)

    def matvec(vector: np.ndarray) -> np.ndarray:
        return smooth(together(smooth(np.asarray(vector, np.float32).ravel())))

    operator = linalg.LinearOperator((len(bought), len(bought)), matvec=matvec, dtype=np.float32)
    start = np.sqrt(buyers[bought]).astype(np.float32)  # any start will do; a random one would make two runs differ
    # Where it starts again, newer versions of scipy sample at random as well, unless they get a generator.
    seeded = {"rng": 0} if "rng" in signature(linalg.eigsh).parameters else {}
    count = min(settings.count, len(bought) - 1)
    # numpy and scipy bring a BLAS each, and the waiting threads of one take the cores from the other: 4 times slower.
    with _optional("threadpoolctl").threadpool_limits(1, "blas"):
        values, axes = linalg.eigsh(
            operator, k=count, which="LA", tol=_TOLERANCE, v0=start / np.linalg.norm(start), **seeded
        )
    kept = np.flatnonzero(values > _LEAST_EIGENVALUE)[::-1]
    values, axes = values[kept].astype(np.float32), np.ascontiguousarray(axes[:, kept], np.float32)
    vectors = _unit(axes * np.sqrt(values))
    projection = smooth.words_for(together(smooth(axes))) / np.sqrt(values)
    trust = float(np.clip(np.mean(np.sum(vectors * predicted_factors(smooth.content, projection, 1.0), axis=1)), 0, 1))
    return Factors(bought, vectors, np.asarray(projection, np.float32), trust, buyers)


class _CoPurchases:
    """G as an operator on columns [bought] or [bought, n]: two products with the sparse purchases, never the pairs."""

    def __init__(self, purchases: ItemLists, bought: np.ndarray, items: int) -> None:
        sparse = _optional("scipy.sparse")
        place = np.zeros(items, np.int32)
        place[bought] = np.arange(len(bought), dtype=np.int32)
        sizes = purchases.sizes
        self.pairs = bool((sizes > 1).any())
        weights = np.where(sizes > 1, 1 / np.maximum(sizes - 1, 1), 0).astype(np.float32)
        shape = (len(purchases), len(bought))
        parts = (place[purchases.items], purchases.starts)
        self._has: Any = sparse.csr_matrix((np.ones(len(purchases.items), np.float32), *parts), shape)
        self._weighted: Any = sparse.csr_matrix((np.repeat(weights, sizes), *parts), shape)
        # What the product of the two has on its diagonal: pairs of an item with itself.
        self._itself = np.bincount(parts[0], np.repeat(weights, sizes), minlength=len(bought)).astype(np.float32)
        sums = self._has.T @ (weights * sizes) - self._itself
        self._scale = np.where(sums > _TINY, 1 / np.sqrt(np.maximum(sums, _TINY)), 0).astype(np.float32)

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        by_row = (slice(None), None) if columns.ndim == 2 else slice(None)
        scaled = self._scale[by_row] * columns
        return np.asarray(
            self._scale[by_row] * (self._has.T @ (self._weighted @ scaled) - self._itself[by_row] * scaled)
        )


class _Smoothing:
    """H as an operator on columns: only a matrix of dimensions by dimensions is ever inverted (Woodbury)."""

    def __init__(self, content: np.ndarray, settings: FactorSettings) -> None:
        self.content = content
        self._whole = settings.itself + settings.smoothing
        self._share = settings.smoothing / self._whole
        alike = content.T.astype(np.float64) @ content
        self._inverse = np.linalg.inv(alike + self._whole * np.eye(content.shape[1])).astype(np.float32)

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        return np.asarray(columns - self._share * (columns - self.content @ self.words_for(columns)))

    def words_for(self, columns: np.ndarray) -> np.ndarray:
        """Return C' (C C' + (kappa + lambda) I)^-1 times columns: the ridge regression of columns on content."""
        return np.asarray(self._inverse @ (self.content.T @ columns))


def _optional(module: str) -> Any:
    return optional(module, "Learning from purchases needs scipy", "learn")


def _gathered(content: Callable[[np.ndarray], np.ndarray], positions: np.ndarray) -> np.ndarray:
    gathered = np.empty((len(positions), content(positions[:1]).shape[1]), np.float32)
    for start in range(0, len(positions), _BLOCK):
        gathered[start : start + _BLOCK] = content(positions[start : start + _BLOCK])
    return gathered


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, _TINY), np.float32)
