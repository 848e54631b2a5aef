"""A row of the table as a thing to be measured: how it scores the items of a split's users."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from recommending.shop import Task
from vlm4rec_edge import evaluation
from vlm4rec_edge.evaluation import Scorer, Split

RANDOM_ORDERS = 10


class Row(Protocol):
    """What is measured: one system, or the same one trained with several seeds."""

    name: str
    kind: str
    about: str
    dimensions: int
    without: int
    seeds: tuple[int, ...]

    def tries(self, task: Task) -> Mapping[int, System]:
        """Return the systems of which a user's value is the mean, by seed."""


@dataclass(frozen=True)
class System:
    """One row: its name and kind, what it is, and how it scores the items of a split.

    ``key`` is equal for systems that score alike. ``without`` counts the items of which it knows nothing. ``seeds`` is
    empty, as nothing is trained.
    """

    name: str
    kind: str
    about: str
    key: str
    scorer: Callable[[Split], Scorer]
    dimensions: int = 0
    without: int = 0
    seeds: tuple[int, ...] = ()

    def tries(self, task: Task) -> Mapping[int, System]:  # noqa: ARG002 (a trained row is another one for each task)
        """Return itself."""
        return {0: self}


@dataclass(frozen=True)
class Chance:
    """The row of no knowledge: a user's value is the mean of many random orders, near to what is to be expected."""

    name: str
    kind: str
    about: str
    dimensions: int = 0
    without: int = 0
    seeds: tuple[int, ...] = ()  # nothing is trained

    def tries(self, task: Task) -> Mapping[int, System]:  # noqa: ARG002 (as above)
        """Return the random orders."""
        return {seed: self._order(seed) for seed in range(RANDOM_ORDERS)}

    def _order(self, seed: int) -> System:
        scorer = partial(evaluation.random_scorer, seed=seed)
        return System(self.name, self.kind, self.about, f"random, seed {seed}", scorer)


def system_of_vectors(name: str, kind: str, about: str, vectors: np.ndarray) -> System:
    """Return the row of items that are vectors [items, dimensions], matched as the package does."""
    key = hashlib.sha256(vectors.tobytes()).hexdigest()
    without = int((~vectors.any(axis=1)).sum())
    return System(name, kind, about, key, lambda split: scorer_of_vectors(split, vectors), vectors.shape[1], without)


def scorer_of_vectors(split: Split, vectors: np.ndarray) -> Scorer:
    """Return the cosine between the mean of a history's vectors and each item; equal vectors have exactly equal scores."""
    # Items of one text or photo must have exactly equal scores, whatever the order of a sum.
    distinct, rows = np.unique(vectors, axis=0, return_inverse=True)
    return evaluation.profile_scorer(split, distinct, rows.reshape(-1))
