"""The columns of an index as filters are made of them: their most frequent values, and the range of numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vlm4rec_edge.columns import MISSING, Column, ItemTable

# As many values as a person looks through.
MOST_VALUES = 100


@dataclass(frozen=True)
class ColumnSummary:
    """One column of the items.

    Attributes:
        name: As a filter calls it.
        distinct: How many different values it has.
        missing: How many items have none.
        values: The most frequent values, each with how many items have it, the most frequent first.
        least, most: The range where every value is a number; else None.
    """

    name: str
    distinct: int
    missing: int
    values: tuple[tuple[str, int], ...]
    least: float | None
    most: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as a part of a JSON document."""
        return {**asdict(self), "values": [{"value": value, "items": items} for value, items in self.values]}


def summaries(table: ItemTable) -> list[ColumnSummary]:
    """Return the columns of a table but ``id``, in its order."""
    return [_summary(name, column) for name, column in table.columns.items()]


def _summary(name: str, column: Column) -> ColumnSummary:
    present = column.codes[column.codes != MISSING]
    counts = np.bincount(present, minlength=len(column.values))
    frequent = np.argsort(-counts, kind="stable")[:MOST_VALUES].tolist()
    values = tuple((column.values[place], int(counts[place])) for place in frequent if counts[place])
    numbers = column.numbers[counts > 0]
    is_numeric = bool(len(numbers)) and not np.isnan(numbers).any()
    return ColumnSummary(
        name,
        int(np.count_nonzero(counts)),
        len(column.codes) - len(present),
        values,
        float(numbers.min()) if is_numeric else None,
        float(numbers.max()) if is_numeric else None,
    )
