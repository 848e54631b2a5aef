"""Items of a table, made of their ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.lance.notes import TableNotes

DIMENSIONS = 8
NOTES = TableNotes(DIMENSIONS, {"encoder": "e", "encoded_text": "title"}, space="e")


def batch_of(ids: Sequence[str], *, seed: int = 0, **attributes: str) -> tuple[list[StoredItem], np.ndarray]:
    """Return items, and vectors of them that another ``seed`` makes others."""
    items = [
        StoredItem(item_id, place, f"title of {item_id}", "", f"{item_id}.png", attributes)
        for place, item_id in enumerate(ids)
    ]
    vectors = np.array(
        [np.random.default_rng([seed, *item_id.encode()]).normal(size=DIMENSIONS) for item_id in ids], np.float32
    )
    return items, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
