"""Ways to recommend from purchases, each with the same content and popularity, and weights chosen on other people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.evaluation.ranking import rank
from vlm4rec_edge.evaluation.split import ItemLists, Split
from vlm4rec_edge.learning.factors import learn_factors
from vlm4rec_edge.mixture import Weights, popularity_of_buyers

# As in the publication (Steck, arXiv 1905.03375), for a few thousand items of few purchases each.
_EASE_PENALTY = 100.0
_KNN_SHRINK = 10.0
_NEIGHBOURS = 100

# From the items of a history [n] to a score of every item [items].
Likeness = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Learners:
    """What was learned from one set of purchases.

    Attributes:
        content: Unit vectors, [items, dimensions].
        ways: From its name to the scores of a history.
        popularity: [items], 0 to 1.
        trust: As in ``Factors``.
    """

    content: np.ndarray
    ways: Mapping[str, Likeness]
    popularity: np.ndarray
    trust: float


def learners(
    purchases: ItemLists, content: np.ndarray, *, rivals: bool = True, new: np.ndarray | None = None
) -> Learners:
    """Learn from purchases in our way and, with ``rivals``, as item-kNN and EASE do."""
    items = len(content)
    factors = learn_factors(purchases, lambda positions: content[positions], items)
    own = factors.of(content, np.arange(items))
    ways: dict[str, Likeness] = {"learned": lambda history: own @ own[history].mean(axis=0)}
    if rivals:
        bought = factors.bought
        matrix = np.zeros((len(purchases), items), np.float32)
        matrix[np.repeat(np.arange(len(purchases)), purchases.sizes), purchases.items] = 1
        ways |= {
            "item-kNN": _from_square(_knn(matrix[:, bought]), bought, items),
            "EASE": _from_square(_ease(matrix[:, bought]), bought, items),
        }
    return Learners(content, ways, popularity_of_buyers(factors.buyers, new), factors.trust)


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


def _from_square(square: np.ndarray, bought: np.ndarray, items: int) -> Likeness:
    place = np.full(items, -1)
    place[bought] = np.arange(len(bought))

    def likeness(history: np.ndarray) -> np.ndarray:
        own = place[history]
        scores = np.zeros(items, np.float32)
        scores[bought] = square[own[own >= 0]].sum(axis=0)
        # The largest is 1, as a cosine's may be, so that the same weights can be tried.
        return scores / max(float(np.abs(scores).max()), 1e-9)

    return likeness


def scorer(known: Learners, way: str, weights: Weights, split: Split) -> Callable[[range], np.ndarray]:
    """Return the scores of a way with content and popularity, for ``rank``."""

    def score(users: range) -> np.ndarray:
        rows = []
        for user in users:
            history = split.history[user]
            row = (1 - weights.together) * (known.content @ known.content[history].mean(axis=0))
            if weights.together:
                row = row + weights.together * known.ways[way](history)
            if weights.often:
                row = row + weights.often * known.popularity[history].mean() * known.popularity
            rows.append(row)
        return np.array(rows, np.float32)

    return score


def recalls(known: Learners, way: str, weights: Weights, split: Split) -> np.ndarray:
    """Return Recall@10 of each user, [users], float64."""
    ranking = rank(scorer(known, way, weights, split), split)
    return np.asarray(ranking.hits.sum(axis=1) / split.test.sizes)


def best_weights(known: Learners, way: str, split: Split, grid: Sequence[Weights]) -> Weights:
    """Return the weights of the highest Recall@10; the first of equally good ones."""
    return max(grid, key=lambda weights: float(recalls(known, way, weights, split).mean()))


def halves(count: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the positions of one half of the users, and of the other."""
    order = np.random.default_rng(seed).permutation(count)
    yield np.sort(order[: count // 2])
    yield np.sort(order[count // 2 :])
