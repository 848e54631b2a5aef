"""The items of a source with a vector each, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np

from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.recommend.source import ItemSource

# 4 MB of vectors (at 384 dimensions): enough for a writer to work evenly, little enough for flat memory.
_BATCH_ITEMS = 2048
TEXTS = ("id", "title", "caption", "image")
_OWN_COLUMNS = (*TEXTS, "vector")


def batches(source: ItemSource, size: int = _BATCH_ITEMS) -> Iterator[tuple[list[StoredItem], np.ndarray]]:
    """Yield items and their vectors [n, dimensions], float32, unit length; items that share a row each get its vector."""
    items = source.items()
    while batch := list(islice(items, size)):
        yield batch, np.ascontiguousarray(source.vectors_at([item.row for item in batch]), dtype=np.float32)


def attribute_names(source: ItemSource) -> list[str]:
    """Return the names of all attributes that items have, in the order in which they come."""
    return list(dict.fromkeys(name for item in source.items() for name in item.attributes))


def attribute_columns(source: ItemSource) -> dict[str, str]:
    """Return for each attribute the column it goes to: its own name, unless that is one of ours."""
    names = attribute_names(source)
    columns = {name: name for name in names}
    for name in names:
        while columns[name] in _OWN_COLUMNS or list(columns.values()).count(columns[name]) > 1:
            columns[name] = f"attribute_{columns[name]}"
    return columns


def about(source: ItemSource) -> dict[str, Any]:
    """Return what whoever asks exported vectors must know: what made them, and how a query is made of them.

    A query is encoded by the same encoder. Where something was learned from purchases, it is a sum of vectors whose last value
    is set to 0 (docs/explanation/learning.md).
    """
    learned = {"learned": {**asdict(source.layout), **source.learned}} if source.layout else {}
    return {
        "items": source.count(),
        "dimensions": source.dimensions,
        "representation": source.representation,
        "encoder": source.provenance("encoders"),
        "captions": source.provenance("groundings"),
        **learned,
    }


def record_of(item: StoredItem) -> dict[str, Any]:
    """Return an item as one JSON object, without its vector."""
    return {**{name: getattr(item, name) for name in TEXTS}, "attributes": dict(item.attributes)}
