"""One version of a table, opened to be read: its rows by number, by condition, and one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from vlm4rec_edge.closable import Closable
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.lance.columns import ANY, ASCII, FORM, NFC, VECTOR, attributes_of
from vlm4rec_edge.lance.database import explained, open_table
from vlm4rec_edge.lance.notes import notes_of
from vlm4rec_edge.lance.row_numbers import RowNumbers

ROW_ID = "_rowid"
# Rows that are read at a time: 12 MB of vectors at 384 dimensions.
_BLOCK = 8192


class TableVersion(Closable):
    """A read-only view of one version of a table; a context manager. Several threads may read through it.

    What is written later is not seen. Each item has a row of its own; rows are numbered by LanceDB's row ids.

    Attributes:
        folder: The address that was opened.
        notes: What made the table.
        version: Its version.
        attributes: What the items have beside title, caption and photo.

    Raises:
        StoreError: there is no table, it is not ours, or it is empty.
        MissingDependencyError: lancedb is not installed.
        UsageError: it is no address.
    """

    def __init__(self, address: str) -> None:
        self.folder = address
        self.table_of_version = open_table(address)
        with explained(address):
            self.version = int(self.table_of_version.version)
            self.table_of_version.checkout(self.version)
            schema = self.table_of_version.schema
        self.notes = notes_of(schema.metadata, address)
        self.attributes = attributes_of(schema.names)
        self._count = self.count_where(None)
        if not self._count:
            raise StoreError(f"The table at {address} holds no items; write some: vlm4rec-edge export INDEX {address}")
        self._numbering = threading.Lock()

    @property
    def rows(self) -> int:
        """How many vectors there are."""
        return self._count

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self.notes.dimensions

    def count(self) -> int:
        """Return how many items there are."""
        return self._count

    @property
    def numbers(self) -> RowNumbers:
        """The numbers of the rows; only row ids are read for them, the first time."""
        with self._numbering:
            return self._numbers

    @cached_property
    def _numbers(self) -> RowNumbers:
        return RowNumbers(batch[ROW_ID].to_numpy() for batch in self.batches([]))

    @cached_property
    def text_form(self) -> int:
        """The farthest form of text that the version holds: ``ASCII``, ``NFC`` or ``ANY``."""
        return next((form for form in (ANY, NFC) if self.count_where(f"{FORM} = {form}")), ASCII)

    def count_where(self, condition: str | None) -> int:
        """Return how many rows fulfil a condition; None: all."""
        with explained(self.folder):
            return int(self.table_of_version.count_rows(condition))

    def batches(self, columns: Sequence[str], condition: str | None = None) -> Iterator[Any]:
        """Yield all rows, or those that fulfil a condition, as Arrow batches with ``_rowid``, in flat memory."""
        query = self._query(columns, condition)
        with explained(self.folder):
            yield from query.to_batches(batch_size=_BLOCK)

    def found(self, columns: Sequence[str], condition: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the rows that fulfil a condition, as mappings with ``_rowid``."""
        query = self._query(columns, condition)
        with explained(self.folder):
            rows: list[dict[str, Any]] = (query if limit is None else query.limit(limit)).to_arrow().to_pylist()
            return rows

    def _query(self, columns: Sequence[str], condition: str | None) -> Any:
        # A query for no column would get all of them; this one is a byte a row.
        query = self.table_of_version.search().select(list(columns) or [FORM]).with_row_id(True)
        return query if condition is None else query.where(condition)

    def taken(self, rows: np.ndarray, columns: Sequence[str]) -> Any:
        """Return rows given by their ascending numbers, each once, as an Arrow table in this order."""
        row_ids = self.numbers.row_ids(rows)
        with explained(self.folder):
            found = self.table_of_version.take_row_ids(row_ids.tolist()).select(list(columns)).with_row_id().to_arrow()
        order = np.argsort(found[ROW_ID].to_numpy())
        return found if (order[1:] > order[:-1]).all() else found.take(order)

    def vectors_at(self, rows: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return the vectors of ``rows``, shape [len(rows), dimensions], float32, in this order."""
        wanted = np.asarray(rows, np.int64)
        vectors = np.empty((len(wanted), self.dimensions), np.float32)
        for start in range(0, len(wanted), _BLOCK):
            different, places = np.unique(wanted[start : start + _BLOCK], return_inverse=True)
            column = self.taken(different, [VECTOR])[VECTOR].combine_chunks()
            vectors[start : start + _BLOCK] = matrix_of(column, self.dimensions)[places]
        return vectors

    def texts_of(self, name: str) -> Any:
        """Return a column of texts as an Arrow array, in the order of the rows."""
        query = self._query([name], None)
        with explained(self.folder):
            found = query.to_arrow()
        texts, row_ids = found[name].combine_chunks(), found[ROW_ID].to_numpy()
        return texts if (row_ids[1:] > row_ids[:-1]).all() else texts.take(np.argsort(row_ids))

    def nearest(self, query: np.ndarray, ask: Callable[[Any], Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that a vector query finds, int64, and their scores, float32, best first; equal ones by row.

        Args:
            query: Shape [dimensions], float32, unit length.
            ask: Adds to LanceDB's query what it is to be asked.
        """
        with explained(self.folder):
            asked = self.table_of_version.search(query, vector_column_name=VECTOR).distance_type("cosine")
            found = ask(asked).select([FORM, "_distance"]).with_row_id(True).to_arrow()
        rows = self.numbers.numbers(found[ROW_ID].to_numpy())
        scores = (1 - found["_distance"].to_numpy()).astype(np.float32)
        order = np.lexsort((rows, -scores))
        return rows[order], scores[order]

    def bytes(self) -> int:
        """Return how much the data files of the version take, without its indexes."""
        with explained(self.folder):
            return int(self.table_of_version.stats()["total_bytes"])

    def close(self) -> None:
        """Let go of the table."""
        self.table_of_version = None


def matrix_of(column: Any, dimensions: int) -> np.ndarray:
    """Return an Arrow array of vectors as a matrix [n, dimensions], float32."""
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(len(column), dimensions)
