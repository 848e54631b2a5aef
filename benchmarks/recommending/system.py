"""A row of the table as a thing to be measured: how it scores the items of a split's users."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recommending.shop import Task
from vlm4rec_edge import evaluation
from vlm4rec_edge.evaluation import Scorer, Split


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
