"""A split in which variants of one product, such as its colours, are no easy hits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.split import ItemLists, Split, starts_of


def without_variants(split: Split, groups: np.ndarray) -> Split:
    """Return a split in which what belongs to a group of the user's history is no candidate and no test item.

    The same product in another colour is an easy hit and says little of taste. Users whose whole test goes are left out.

    Args:
        split: Any split.
        groups: The group of each item, [items], whole numbers, as ``vlm4rec_edge.columns.group_codes`` makes them; items of
            one number are variants of one product.

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
    foreign = np.concatenate(is_foreign)
    test = split.test.only(foreign)
    kept = np.flatnonzero(test.sizes)
    if not len(kept):
        raise UsageError("Every test item is a variant of something in its user's history; choose another --group.")
    variants = ItemLists(starts_of(np.array([len(items) for items in excluded])), np.concatenate(excluded))
    return replace(split, test=test, test_dates=split.test_dates[foreign], excluded=variants).of(kept)
