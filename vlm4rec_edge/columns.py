"""The items of an index as columns: what is asked of all items at once (filters, groups, counts) reads these."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vlm4rec_edge.errors import UsageError

# The code of an item that has no value in a column.
MISSING = -1


@dataclass(frozen=True)
class Column:
    """One column, dictionary-coded: item ``i`` has the value ``values[codes[i]]``, or none where its code is -1.

    An empty text counts as no value, because a CSV file cannot tell the two apart.

    Attributes:
        values: The distinct texts.
        codes: Shape [items], int32.
    """

    values: Sequence[str]
    codes: np.ndarray

    @cached_property
    def numbers(self) -> np.ndarray:
        """The values as numbers, shape [len(values)], float64; not-a-number where a value is no finite number."""
        numbers = np.fromiter(map(number_of_text, self.values), np.float64, len(self.values))
        numbers.flags.writeable = False
        return numbers


@dataclass(frozen=True)
class ItemTable:
    """All items that can be recommended, ordered by vector row, and within a row by id (by code point).

    So the items of a row are a slice, and the place of an item in this order, its position, stands for it in arrays.

    Attributes:
        rows: Vector row of each item, shape [items], int64, ascending.
        ids: Id of each item.
        columns: ``title``, ``caption`` and the catalog's further columns, each with one code an item. A further column
            that is itself called ``title`` or ``caption`` stands back.
    """

    rows: np.ndarray
    ids: Sequence[str]
    columns: Mapping[str, Column]

    def column(self, name: str) -> Column | None:
        """Return a column by its name, ``id`` among them, or None if there is none."""
        return self._id_column if name == "id" else self.columns.get(name)

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return ["id", *self.columns]

    @cached_property
    def _id_column(self) -> Column:
        return Column(self.ids, np.arange(len(self.ids), dtype=np.int32))

    @cached_property
    def _first(self) -> np.ndarray:
        """Position of the first item of each row, and one entry more, so that row ``r`` is [first[r], first[r + 1])."""
        rows = int(self.rows[-1]) + 1 if len(self.rows) else 0
        return np.searchsorted(self.rows, np.arange(rows + 1))

    def positions_at(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the items of ``rows``, in the order of ``rows``, and for each the index into ``rows``."""
        inside = np.minimum(rows, len(self._first) - 1)  # rows beyond the last item's have none
        starts = self._first[inside]
        counts = self._first[np.minimum(inside + 1, len(self._first) - 1)] - starts
        source = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
        return starts[source] + within, source

    def positions_of(self, rows_of_ids: Mapping[str, int]) -> np.ndarray:
        """Return the positions of items given as id and row, shape [n], int64; ids that the table lacks are left out."""
        found = []
        for item_id, row in rows_of_ids.items():
            if 0 <= row < len(self._first) - 1:
                last = int(self._first[row + 1])
                position = bisect_left(self.ids, item_id, int(self._first[row]), last)
                if position < last and self.ids[position] == item_id:
                    found.append(position)
        return np.array(found, dtype=np.int64)


def coded(texts: Iterable[str]) -> Column:
    """Return the column of some texts, one an item."""
    code_of: dict[str, int] = {}
    codes = np.fromiter((code_of.setdefault(text, len(code_of)) if text else MISSING for text in texts), np.int32)
    return Column(list(code_of), codes)


def group_codes(table: ItemTable, by: str) -> np.ndarray:
    """Return the group of each item, shape [items], int64: equal for items with an equal value in a column.

    Args:
        table: The items.
        by: A column, ``id`` among them; ``column:7`` compares the first 7 characters. An item without a value is alone.

    Raises:
        UsageError: there is no such column.
    """
    column, length = table.column(by), None
    if column is None and (match := re.fullmatch(r"(.+):([1-9]\d*)", by, re.S)):
        column, length = table.column(match[1]), int(match[2])
    if column is None:
        raise UsageError(f"There is no column {by!r} to group by; the index has {', '.join(table.names)}.")
    codes = column.codes.astype(np.int64)
    if length is not None:
        codes = np.append(coded(text[:length] for text in column.values).codes, MISSING)[codes].astype(np.int64)
    # No code is below -1.
    return np.where(codes == MISSING, -2 - np.arange(len(codes)), codes)


def number_of_text(text: str) -> float:
    """Return the number that a text is to a filter; not-a-number where it is no finite number."""
    try:
        number = float(text) if "_" not in text else np.nan  # Python reads 1_000, no shop writes it
    except ValueError:
        return float("nan")
    return number if np.isfinite(number) else float("nan")
