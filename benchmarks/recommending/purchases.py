"""Ways to recommend from purchases, each with the same content and popularity, and weights chosen on other people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from vlm4rec_edge.evaluation.split import ItemLists, Split
from vlm4rec_edge.learning.factors import Factors, learn_factors
from vlm4rec_edge.learning.judging import GRID, WITHOUT_FACTORS
from vlm4rec_edge.mixture import Weights, popularity_of_buyers

# As in the publication (Steck, arXiv 1905.03375), for a few thousand items of few purchases each.
_EASE_PENALTY = 100.0
_KNN_SHRINK = 10.0
_NEIGHBOURS = 100
# The best of 64 and 200 factors, with and without the prediction beside them, on the half that no figure is of.
_FACTORS = 200
_RIDGE_PENALTY = 1.0
DEPTH = 10
# Far below what tells two texts apart, and above the rounding of equal ones.
_JITTER = 2e-6
WITHOUT = tuple(GRID[place] for place in WITHOUT_FACTORS)

# From a split to the scores of its users, [users, items], float32, at most about 1.
Way = Callable[[Split], np.ndarray]


@dataclass(frozen=True)
class Learners:
    """What was learned from one set of purchases.

    Attributes:
        content: Unit vectors, [items, dimensions].
        ways: From its name to how it scores.
        popularity: [items], 0 to 1.
        factors: What our own way learned.
    """

    content: np.ndarray
    ways: Mapping[str, Way]
    popularity: np.ndarray
    factors: Factors


@dataclass(frozen=True)
class Found:
    """What was recommended to the users of a split.

    Attributes:
        top: The best items, in no order, [users, 10].
        recalls: Recall@10 of each user, [users], float64.
    """

    top: np.ndarray
    recalls: np.ndarray


def learners(
    purchases: ItemLists, content: np.ndarray, *, rivals: bool = False, new: np.ndarray | None = None
) -> Learners:
    """Learn from purchases in our way and, with ``rivals``, as item-kNN, EASE and a ridge regression do."""
    items = len(content)
    factors = learn_factors(purchases, lambda positions: content[positions], items)
    ways: dict[str, Way] = {"learned": partial(by_vectors, factors.of(content, np.arange(items)))}
    if rivals:
        bought = factors.bought
        matrix = np.zeros((len(purchases), items), np.float32)
        matrix[np.repeat(np.arange(len(purchases)), purchases.sizes), purchases.items] = 1
        matrix = matrix[:, bought]
        ways["item-kNN"] = partial(_by_square, _knn(matrix), bought, items)
        ways["EASE"] = partial(_by_square, _ease(matrix), bought, items)
        ways["SVD, ridge from content"] = partial(by_vectors, _ridge(matrix, content, bought))
    return Learners(content, ways, popularity_of_buyers(factors.buyers, new), factors)


def by_vectors(vectors: np.ndarray, split: Split) -> np.ndarray:
    """Return the products of the items' vectors and the mean of those of a history: [users, items], float32."""
    return np.stack([vectors[split.history[user]].mean(axis=0) for user in range(len(split))]) @ vectors.T


def _by_square(square: np.ndarray, bought: np.ndarray, items: int, split: Split) -> np.ndarray:
    place = np.full(items, -1)
    place[bought] = np.arange(len(bought))
    scores = np.zeros((len(split), items), np.float32)
    for user in range(len(split)):
        own = place[split.history[user]]
        found = square[own[own >= 0]].sum(axis=0)
        # The largest is 1, as a cosine's may be, so that the same weights can be tried.
        scores[user, bought] = found / max(float(np.abs(found).max()), 1e-9)
    return scores


def _knn(matrix: np.ndarray) -> np.ndarray:
    """Cosine of co-purchase, shrunk, of the nearest neighbours of each item."""
    together = matrix.T @ matrix
    counts = np.diag(together).copy()
    np.fill_diagonal(together, 0)
    likeness = together / (np.sqrt(counts[:, None] * counts) + _KNN_SHRINK)
    if len(likeness) > _NEIGHBOURS:
        least = np.partition(likeness, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS][:, None]
        likeness[likeness < least] = 0
    return np.asarray(likeness)


def _ease(matrix: np.ndarray) -> np.ndarray:
    """B = I - P diag(1 / P_ii), P = (X'X + penalty I)^-1."""
    inverse = np.linalg.inv(matrix.T.astype(np.float64) @ matrix + _EASE_PENALTY * np.eye(matrix.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return np.asarray(weights, np.float32)


def _ridge(matrix: np.ndarray, content: np.ndarray, bought: np.ndarray) -> np.ndarray:
    """Factors of co-purchase without smoothing, beside what a ridge regression on content predicts of every item."""
    from scipy.sparse.linalg import eigsh

    sizes = np.maximum(matrix.sum(axis=1, keepdims=True) - 1, 1)
    together = matrix.T @ (matrix / sizes)
    np.fill_diagonal(together, 0)
    scale = 1 / np.sqrt(np.maximum(together.sum(axis=1), 1e-9))
    values, axes = eigsh(scale[:, None] * together * scale, k=min(_FACTORS, len(bought) - 1), which="LA", tol=1e-3)
    kept = values > 0
    known = _unit(axes[:, kept] * np.sqrt(values[kept]))
    own = content[bought]
    projection = np.linalg.solve(own.T @ own + _RIDGE_PENALTY * np.eye(own.shape[1]), own.T @ known)
    predicted = _unit(content @ projection)
    factors = predicted * float(np.mean(np.sum(predicted[bought] * known, axis=1)))
    factors[bought] = _unit(known + predicted[bought])
    return np.asarray(factors, np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


@dataclass(frozen=True)
class Scores:
    """The parts of the scores of a split's users, computed once for all weights."""

    split: Split
    content: np.ndarray
    way: np.ndarray | None
    popularity: np.ndarray

    @classmethod
    def of(cls, known: Learners, way: str, split: Split) -> Scores:
        """Compute those of a way; of content and popularity alone where it is empty."""
        bought = known.ways[way](split) if way else None
        return cls(split, by_vectors(known.content, split), bought, known.popularity)

    def found(self, weights: Weights | None) -> Found:
        """Return what is recommended by these weights; by popularity alone where they are None."""
        split = self.split
        if weights is None:
            scores = np.tile(self.popularity, (len(split), 1))
        else:
            often = np.array([self.popularity[split.history[user]].mean() for user in range(len(split))])
            scores = np.float32(1 - weights.together) * self.content
            if weights.together and self.way is not None:
                scores += np.float32(weights.together) * self.way
            scores += np.float32(weights.often) * np.outer(often, self.popularity).astype(np.float32)
        scores += np.random.default_rng(0).random(split.item_count, np.float32) * np.float32(_JITTER)
        for user in range(len(split)):
            scores[user, split.excluded[user]] = -np.inf
        top = np.argpartition(-scores, DEPTH, axis=1)[:, :DEPTH]
        hits = [np.isin(top[user], split.test[user]).sum() for user in range(len(split))]
        return Found(top, np.array(hits) / split.test.sizes)

    def best(self, grid: Sequence[Weights]) -> Weights:
        """Return the weights of the highest Recall@10; the first of equally good ones."""
        return max(grid, key=lambda weights: float(self.found(weights).recalls.mean()))


def halves(count: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the positions of one half of the users, and of the other."""
    order = np.random.default_rng(seed).permutation(count)
    yield np.sort(order[: count // 2])
    yield np.sort(order[count // 2 :])
