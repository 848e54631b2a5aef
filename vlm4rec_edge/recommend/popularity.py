"""What sells: the answer where nothing is known of a shopper."""

from __future__ import annotations

import numpy as np

from vlm4rec_edge.columns import Column
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend.selection import Admission
from vlm4rec_edge.recommend.source import ItemSource


def popularity_of(source: ItemSource, column: str) -> np.ndarray:
    """Return the number that each item has in ``column`` [items], float64, NaN where it has none.

    Raises:
        UsageError: there is no such column, or it holds no number.
    """
    counts = popularity_column(source, column)
    return np.asarray(np.append(counts.numbers, np.nan)[counts.codes])


def popularity_column(source: ItemSource, column: str) -> Column:
    """Return the column that popularity is taken from; only its different values are looked at.

    Raises:
        UsageError: as ``popularity_of``.
    """
    table = source.table()
    counts = table.column(column)
    if counts is None:
        raise UsageError(
            f"There is no column {column!r} to take popularity from; the index has {', '.join(table.names)}."
        )
    if np.isnan(counts.numbers).all():
        raise UsageError(f"The column {column!r} holds no number to take popularity from.")
    return counts


def most_popular(source: ItemSource, column: str, k: int, admission: Admission) -> tuple[list[str], list[float]]:
    """Return the ids and counts of the ``k`` admitted items with the largest number in ``column``, largest first.

    Items without a number there are left out; equal numbers come in the order of the item table.

    Raises:
        UsageError: as ``popularity_of``.
    """
    table, numbers = source.table(), popularity_of(source, column)
    admitted = ~np.isnan(numbers)
    if admission.mask is not None:
        admitted &= admission.mask
    order = np.flatnonzero(admitted)
    order = order[np.argsort(-numbers[order], kind="stable")]
    if admission.groups is not None:
        order = order[np.sort(np.unique(admission.groups[order], return_index=True)[1])]
    order = order[:k]
    return [table.ids[place] for place in order.tolist()], numbers[order].tolist()
