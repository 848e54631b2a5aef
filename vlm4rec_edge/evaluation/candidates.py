"""The candidates of an evaluation, in an order that is the same wherever the items lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from vlm4rec_edge.columns import Column, ItemTable
from vlm4rec_edge.recommend.source import ItemSource

# Vectors that are compared at a time.
_BLOCK = 8192


def candidates(source: ItemSource) -> tuple[ItemTable, np.ndarray]:
    """Return the items of a source, and their different vectors [rows, dimensions], float32.

    Equal vectors become one row, for their scores are to be exactly equal; a table has a row for each item. Rows are ordered
    by the smallest id of their items: by its position an item gets its place among equal scores, and its random score.
    """
    table = source.table()
    ids = list(table.ids)
    rows = np.unique(table.rows)
    of_digest: dict[bytes, int] = {}
    first = np.array(
        [of_digest.setdefault(digest, row) for row, digest in zip(rows, _digests(source, rows), strict=True)]
    )
    by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
    number: dict[int, int] = {}
    own = first[np.searchsorted(rows, table.rows[by_id])].tolist()
    numbers = np.array([number.setdefault(row, len(number)) for row in own], np.int64)
    in_order = np.argsort(numbers, kind="stable")
    places = by_id[in_order]
    ordered = ItemTable(numbers[in_order], [ids[place] for place in places], _Placed(table.columns, places))
    return ordered, source.vectors_at(list(number))


def _digests(source: ItemSource, rows: np.ndarray) -> Iterator[bytes]:
    for start in range(0, len(rows), _BLOCK):
        for vector in np.ascontiguousarray(source.vectors_at(rows[start : start + _BLOCK])):
            yield hashlib.blake2b(vector.tobytes(), digest_size=16).digest()


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
