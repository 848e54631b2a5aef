"""Interactions made by chance, for tests that compare with a plain reading of the protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlm4rec_edge.evaluation import Interactions


def interactions_of(rows: Sequence[tuple[str, str, float]]) -> Interactions:
    """Interactions of (user, item, date), each of weight 1."""
    users = list(dict.fromkeys(row[0] for row in rows))
    items = list(dict.fromkeys(row[1] for row in rows))
    return Interactions(
        tuple(users),
        tuple(items),
        np.array([users.index(row[0]) for row in rows], np.int32),
        np.array([items.index(row[1]) for row in rows], np.int32),
        np.array([row[2] for row in rows], np.float64),
        np.ones(len(rows)),
    )


def random_rows(users: int, items: int, rows: int, seed: int) -> list[tuple[str, str, float]]:
    """Rows with repeated pairs and equal dates among them, in no order."""
    generator = np.random.default_rng(seed)
    return [
        (f"user-{user}", f"item-{item}", float(date))
        for user, item, date in zip(
            generator.integers(0, users, rows),
            generator.integers(0, items, rows),
            generator.integers(0, 9, rows),
            strict=True,
        )
    ]
