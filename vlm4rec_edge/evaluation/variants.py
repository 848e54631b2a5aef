"""Variants of one product, such as its colours: which items are, and a split in which they are no easy hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.split import ItemLists, Split, starts_of
from vlm4rec_edge.items import StoredItem

_OF_ID = "id:"


def variant_groups(items: Sequence[StoredItem], by: str) -> np.ndarray:
    """Return a number for each item, [items], int64, the same for variants of one product.

    Args:
        items: The items of an index.
        by: ``id:7`` for the first 7 characters of the id, or the name of a column of the catalog, such as a product code;
            an item without a value there has no variants.

    Raises:
        UsageError: no item has such a column, or the number after ``id:`` is none.
    """
    if by.startswith(_OF_ID):
        length = by.removeprefix(_OF_ID)
        if not length.isdecimal() or int(length) < 1:
            raise UsageError(f"--group {by} is not understood; write id:7 for the first 7 characters of the id.")
        values = [item.id[: int(length)] for item in items]
    else:
        values = [item.attributes.get(by, "") for item in items]
        if not any(values):
            columns = ", ".join(sorted({name for item in items for name in item.attributes})) or "none"
            raise UsageError(f"No item has a value in the column {by!r}; the columns of this index are: {columns}.")
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(value, len(numbers)) if value else -1 - place for place, value in enumerate(values)]
    return np.array(groups, np.int64)


def without_variants(split: Split, groups: np.ndarray) -> Split:
    """Return a split in which what belongs to a group of the user's history is no candidate and no test item.

    The same product in another colour is an easy hit and says little of taste. Users whose whole test goes are left out.

    Args:
        split: Any split.
        groups: The group of each item, [items], whole numbers; items of one number are variants of one product.

    Raises:
        UsageError: no user has a test item left.
    """
    by_group = np.argsort(groups, kind="stable").astype(np.int32)
    sorted_groups = np.asarray(groups)[by_group]
    excluded: list[np.ndarray] = []
    is_foreign: list[np.ndarray] = []
    for user in range(len(split)):
        own = np.unique(groups[split.history[user]])
        first = np.searchsorted(sorted_groups, own, "left")
        last = np.searchsorted(sorted_groups, own, "right")
        excluded.append(np.concatenate([by_group[a:b] for a, b in zip(first, last, strict=True)]))
        is_foreign.append(~np.isin(groups[split.test[user]], own))
    test = split.test.only(np.concatenate(is_foreign))
    kept = np.flatnonzero(test.sizes)
    if not len(kept):
        raise UsageError("Every test item is a variant of something in its user's history; choose another --group.")
    variants = ItemLists(starts_of(np.array([len(items) for items in excluded])), np.concatenate(excluded))
    return replace(
        split,
        users=tuple(split.users[user] for user in kept),
        history=split.history.of(kept),
        test=test.of(kept),
        excluded=variants.of(kept),
    )
