"""The candidates of an evaluation, in an order that is the same wherever the items lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from vlm4rec_edge.columns import Column, ItemTable
from vlm4rec_edge.recommend.source import ItemSource

# Vectors that are read at a time.
_BLOCK = 8192


def candidates(source: ItemSource) -> tuple[ItemTable, np.ndarray]:
    """Return the items of a source, and their different vectors [rows, dimensions], float32.

    Equal vectors become one row, for their scores are to be exactly equal; a table has a row for each item. Rows are ordered
    by the smallest id of their items: by its position an item gets its place among equal scores, and its random score.
    """
    table = source.table()
    ids = list(table.ids)
    by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
    rows, first, row_of = np.unique(table.rows[by_id], return_index=True, return_inverse=True)
    order = np.argsort(first)
    vectors, number_of = _different(source, rows[order])
    numbers = number_of[np.argsort(order)][row_of]
    in_order = np.argsort(numbers, kind="stable")
    places = by_id[in_order]
    ordered = ItemTable(numbers[in_order], [ids[place] for place in places], _Placed(table.columns, places))
    return ordered, vectors


def _different(source: ItemSource, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different vectors of rows in the order in which they come, and the number among them of each row's.

    Each row is read once. Memory that no different vector fills is never touched.
    """
    vectors = np.empty((len(rows), source.dimensions), np.float32)
    numbers = np.empty(len(rows), np.int64)
    number_of: dict[bytes, int] = {}
    for start in range(0, len(rows), _BLOCK):
        block = np.ascontiguousarray(source.vectors_at(rows[start : start + _BLOCK]))
        for place, vector in enumerate(block, start):
            digest = hashlib.blake2b(vector.tobytes(), digest_size=16).digest()
            own = numbers[place] = number_of.setdefault(digest, len(number_of))
            vectors[own] = vector
    return vectors[: len(number_of)], numbers


class _Placed(Mapping[str, Column]):
    """Columns whose items are put in another order, each when it is asked for."""

    def __init__(self, columns: Mapping[str, Column], places: np.ndarray) -> None:
        self._columns, self._places = columns, places

    def __getitem__(self, name: str) -> Column:
        column = self._columns[name]
        return Column(column.values, column.codes[self._places])

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)
