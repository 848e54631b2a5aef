"""An index that learned from purchases, measured: it learns again inside the split, never from what is held back."""

from __future__ import annotations

import numpy as np

from vlm4rec_edge.columns import ItemTable
from vlm4rec_edge.evaluation.split import Split
from vlm4rec_edge.learning.factors import learn_factors
from vlm4rec_edge.learning.learning import marked_new
from vlm4rec_edge.mixture import Layout, Weights, as_query, beside_photos, mixed, popularity_of_buyers


def content_part(vectors: np.ndarray, layout: Layout) -> np.ndarray:
    """Return the unit content vectors of mixed ones: [n, dimensions], float32."""
    content = np.asarray(vectors[:, : layout.content], np.float32)
    return np.asarray(content / np.linalg.norm(content, axis=1, keepdims=True), np.float32)


def mixed_in(
    split: Split,
    table: ItemTable,
    content: np.ndarray,
    weights: Weights,
    new_items: str,
    photos: np.ndarray | None = None,
    photo_share: float = 0.0,
) -> np.ndarray:
    """Return the vector of each item, [items, dimensions], as a query has it, learned from the training data of a split alone.

    Args:
        split: What is known of each user.
        table: The items.
        content: Their unit vectors, [items, dimensions].
        weights: As they were chosen when the index learned.
        new_items: The column that marks new items, or empty.
        photos: Their photo vectors, zero where an item has none, [items, their dimensions], if it learned from those too.
        photo_share: How much these count.

    Raises:
        UsageError: too little was bought together before what is held back.
    """
    seen = content if photos is None else beside_photos(content, photos, photo_share)
    factors = learn_factors(split.training, lambda positions: seen[positions], len(content))
    popularity = popularity_of_buyers(factors.buyers, marked_new(table, new_items))
    return as_query(mixed(content, factors.of(seen, np.arange(len(content))), popularity, weights))
