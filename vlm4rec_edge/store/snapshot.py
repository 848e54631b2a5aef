"""One moment of a store, opened to be read: its notes, its vectors, and what a query finds, even while it is written."""

from __future__ import annotations

import json
import mmap
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.closable import Closable
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.mixture import Layout
from vlm4rec_edge.store.schema import DATABASE_NAME, has_its_schema, open_database, text_crc32
from vlm4rec_edge.store.trouble import damaged, explained
from vlm4rec_edge.store.vectors import map_vectors, vector_file_name

# Rows of a result that are fetched at once.
_FETCHED_ROWS = 256
# SQLite maps no more than it was built for, 2 GB as a rule, and reads the rest (sqlite.org/mmap.html).
_MAPPED_BYTES = 2**40


class StoreSnapshot(Closable):
    """A read-only view of one moment of a store; a context manager. Several threads may read through it.

    Attributes:
        vectors: Memory map, shape [rows, dimensions], float32, unit length. Several items may share a row; rows that no
            item has any more may be among them.
        vector_file: Name of the file behind ``vectors``; it changes with the encoder and with every compaction.
        row_column: The column of the table of items that holds the row of an item's vector.
        meta: What the writer noted: ``encoder``, ``grounding`` (fingerprints), ``encoded_text``, ``dimensions``, ``run``.
        layout: Where the parts of a vector lie, if it is mixed with what was learned from purchases; None if it is not.
        space: What tells vectors that may be compared: the fingerprint of the encoder, or of what was learned on top of it.

    Args:
        folder: The index folder.
        mapped: Whether items are looked up in a memory map of the database, which takes half as long; what was looked at
            counts as memory of this process while the system has room for it.
        content: Whether to read the vectors of the texts, whatever was learned from purchases.

    Raises:
        StoreError: there is no index at ``folder``, it is damaged, or it was never finished enough to hold a vector.
    """

    def __init__(self, folder: Path | str, *, mapped: bool = False, content: bool = False) -> None:
        self.folder = Path(folder)
        self._only_content = content
        path = self.folder / DATABASE_NAME
        if not path.is_file():
            raise StoreError(
                f"There is no index at {self.folder}; make one: vlm4rec-edge index CATALOG --out {self.folder}"
            )
        self._database = open_database(path, write=False)
        # How SQLite was built decides whether a connection may be used by two threads at once (sqlite.org/threadsafe.html).
        self._lock = threading.Lock()
        self._mapped_bytes = _MAPPED_BYTES if mapped else 0
        try:
            self._map_database(self._mapped_bytes)
            self._take_snapshot()
        except BaseException as error:
            self._database.close()
            if isinstance(error, sqlite3.Error):
                raise explained(error, path) from error
            raise

    @contextmanager
    def unmapped(self) -> Iterator[None]:
        """Read without the memory map: of a whole database, read through once, no page need stay."""
        self._map_database(0)
        try:
            yield
        finally:
            self._map_database(self._mapped_bytes)

    def _map_database(self, limit: int) -> None:
        with self._lock:
            self._database.execute(f"PRAGMA mmap_size = {limit}")

    def _take_snapshot(self) -> None:
        missed = ""
        while True:
            self._database.execute("BEGIN")  # from the first read on, later writes are not seen
            self.meta = self._read_meta()
            self.layout: Layout | None = None
            if self.meta.get("learned") and not self._only_content:
                self.layout = Layout(int(self.meta["dimensions"]), int(self.meta["learned_factors"]))
                self.row_column, self.space = "learned_row", self.meta["learned"]
                generation, dimensions = int(self.meta["learned_generation"]), self.layout.dimensions
                rows = int(self.meta["learned_rows"])
            else:
                self.row_column, self.space = "vector_row", self.meta.get("encoder", "")
                generation, dimensions = int(self.meta.get("generation", 0)), int(self.meta.get("dimensions", 0))
                rows = int(self.one("SELECT coalesce(max(row) + 1, 0) FROM vectors"))
            self.vector_file = vector_file_name(self.space, generation)
            try:
                self.vectors = map_vectors(self.folder / self.vector_file, rows, dimensions)
                return
            except StoreError:
                if missed == self.vector_file:
                    raise
                # A writer may have moved on to another vector file, and removed this one, since our first read.
                missed = self.vector_file
                self._database.execute("ROLLBACK")

    def _read_meta(self) -> dict[str, str]:
        meta = {}
        for key, value, checksum in self.query("SELECT key, value, crc32 FROM meta"):
            if text_crc32(key, value) != checksum:
                raise self.damaged(f"its note {key!r} is not what was written")
            meta[str(key)] = str(value)
        return meta

    def damaged(self, reason: object) -> StoreError:
        """Return the sentence for what is not what was written."""
        return damaged(self.folder / DATABASE_NAME, reason)

    @cached_property
    def has_further_photos(self) -> bool:
        """Whether any item has a second photo."""
        return bool(self.one("SELECT EXISTS (SELECT 1 FROM photos)"))

    @property
    def rows(self) -> int:
        """How many vectors there are."""
        return len(self.vectors)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def vectors_at(self, rows: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return the vectors of ``rows``, shape [len(rows), dimensions], float32, read into memory.

        Raises:
            StoreError: there is no such row.
        """
        try:
            wanted = np.asarray(rows, dtype=np.int64)
        except (ValueError, TypeError, OverflowError) as error:  # damage left something else where a number was
            raise self.damaged(error) from error
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.rows:
            raise self.damaged("an item has a vector that is not there")
        return np.asarray(np.asarray(self.vectors)[wanted])

    def vectors_once(self, rows: np.ndarray) -> np.ndarray:
        """Return the same as ``vectors_at``, and keep no page of the file in memory: for one pass over a large catalog."""
        found = self.vectors_at(rows)
        pages = self.vectors.base
        if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # Windows does not have it
            pages.madvise(mmap.MADV_DONTNEED)
        return found

    def has_its_schema(self) -> bool:
        """Whether the tables are those that this version makes.

        Raises:
            StoreError: the database is damaged where they are described, or cannot be read.
        """
        try:
            return has_its_schema(self._database)
        except sqlite3.Error as error:
            raise explained(error, self.folder / DATABASE_NAME) from error

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the rows of a reading query.

        Raises:
            StoreError: the database is damaged where the query reads it, or is closed, busy or cannot be read.
        """
        try:
            with self._lock:
                cursor = self._database.execute(sql, parameters)
                rows = cursor.fetchmany(_FETCHED_ROWS)
            yield from rows
            while len(rows) == _FETCHED_ROWS:
                with self._lock:
                    rows = cursor.fetchmany(_FETCHED_ROWS)
                yield from rows
        except sqlite3.Error as error:
            raise explained(error, self.folder / DATABASE_NAME) from error

    def json_object(self, text: str) -> dict[str, Any]:
        """Return the JSON object that stands in a cell."""
        try:
            found = json.loads(text)
        except (ValueError, TypeError) as error:
            raise self.damaged(error) from error
        if not isinstance(found, dict):
            raise self.damaged("what should be a JSON object is none")
        return found

    def one(self, query: str) -> Any:
        """Return the first value of the first row of a reading query."""
        return next(self.query(query))[0]

    def close(self) -> None:
        """Let go of the database and the memory map."""
        self.vectors = np.zeros((0, 0), dtype=np.float32)
        self._database.close()
