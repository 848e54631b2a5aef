"""Search a table: exactly while that is quick, and through LanceDB's vector index beyond."""

from __future__ import annotations

from functools import cached_property, partial
from math import sqrt
from typing import Any

import numpy as np

from vlm4rec_edge.index import EXACT_LIMIT, Found
from vlm4rec_edge.lance.columns import VECTOR
from vlm4rec_edge.lance.database import explained
from vlm4rec_edge.lance.reader import LanceReader

# Vectors in a partition of the index, on average: LanceDB's scan of one takes well under a millisecond.
PARTITION_ROWS = 4096
# The index compares bytes; so many times what is wanted is compared again by the stored vectors, which finds the ten nearest
# of 40,000 made vectors in every case of 200.
_REFINE = 10
# Wanted more than that at least, so that the last of ten is compared as well as the first.
_LEAST_COMPARED = 200


class LanceIndex:
    """The nearest rows of a table, by cosine. Several threads may ask at once.

    Rows that were written after the vector index are scanned by LanceDB. Where there is no vector index, all are.

    Args:
        source: The open table.
        exact_limit: Up to so many rows are scanned exactly; default: ``EXACT_LIMIT``.
    """

    def __init__(self, source: LanceReader, exact_limit: int | None = None) -> None:
        self._source = source
        self._exact_limit = EXACT_LIMIT if exact_limit is None else exact_limit

    @property
    def name(self) -> str:
        """``exact`` or ``lancedb``: how the next query is answered."""
        return "lancedb" if self._indexed_rows and self._source.rows > self._exact_limit else "exact"

    @cached_property
    def _indexed_rows(self) -> int:
        """How many rows the vector index holds; 0 where there is none."""
        table = self._source.table_of_version
        with explained(self._source.folder):
            names = [index.name for index in table.list_indices() if list(index.columns) == [VECTOR]]
            stats = table.index_stats(names[0]) if names else None
        return 0 if stats is None else int(stats.num_indexed_rows)

    def top(self, query: np.ndarray, count: int) -> Found:
        """Return rows, int64, and scores, float32, of the ``count`` best, best first; equal scores in row order."""
        return self._top(query, count, None, self._source.rows)

    def top_where(self, query: np.ndarray, count: int, condition: str) -> Found:
        """Return what ``top`` returns of the rows that fulfil a condition."""
        admitted = self._source.admitted(condition)
        return self._top(query, count, condition, admitted)

    def top_many(self, queries: np.ndarray, count: int) -> list[Found]:
        """Return what ``top`` returns for each of ``queries`` [n, dimensions]."""
        return [self.top(query, count) for query in queries]

    def _top(self, query: np.ndarray, count: int, condition: str | None, rows: int) -> Found:
        count = min(count, rows)
        if not count:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        refined = max(_REFINE, -(-_LEAST_COMPARED // count))
        is_exact = self.name == "exact" or rows <= self._exact_limit or count * refined >= rows
        found = self._source.nearest(
            np.asarray(query, np.float32),
            partial(self._asked, count=count, condition=condition, refined=None if is_exact else refined),
        )
        return found[0][:count], found[1][:count]

    def _asked(self, asked: Any, *, count: int, condition: str | None, refined: int | None) -> Any:
        asked = asked.limit(count)
        if condition is not None:
            asked = asked.where(condition, prefilter=True)
        if refined is None:
            return asked.bypass_vector_index()
        probes = probes_of(self._indexed_rows)
        # Where a filter leaves too few in those, LanceDB looks into all others.
        return asked.refine_factor(refined).minimum_nprobes(probes).maximum_nprobes(0)


def partitions_of(rows: int) -> int:
    """Return into how many partitions the vectors of so many rows are put."""
    return max(1, rows // PARTITION_ROWS)


def probes_of(rows: int) -> int:
    """Return how many partitions a query looks into: all of 130,000 rows, a quarter of a million's, fewer of more."""
    partitions = partitions_of(rows)
    return min(partitions, max(32, int(4 * sqrt(partitions))))
