"""The database of a store, open for writing: transactions, notes, and errors as sentences."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from vlm4rec_edge.store.schema import DATABASE_NAME, open_database, text_crc32
from vlm4rec_edge.store.trouble import damaged, explained


class WritableDatabase:
    """A connection that is opened when it is first used, so that a damaged database can be salvaged before.

    Attributes:
        folder: The index folder.

    Raises:
        StoreError: by every method, where the disk is full or the database is damaged; what was written before is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """SQLite's own; what is done by it is done inside of ``transaction``."""
        if self._connection is None:
            self._connection = open_database(self.folder / DATABASE_NAME, write=True)
        return self._connection

    def rows(self, query: str, *parameters: object) -> list[Any]:
        """Return the rows of a reading query."""
        try:
            return self.connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise explained(error, self.folder / DATABASE_NAME, kept=True) from error

    def first(self, query: str, *parameters: object) -> Any:
        """Return the first row of a reading query, or None."""
        return next(iter(self.rows(query, *parameters)), None)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of it, or nothing."""
        with self.changing() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Write in transactions of one's own; the one that is under way at an error is rolled back."""
        try:
            yield self.connection
        except sqlite3.Error as error:
            raise explained(error, self.folder / DATABASE_NAME, kept=True) from error
        finally:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def meta(self, key: str) -> str | None:
        """Return one of the notes that ``StoreReader.meta`` holds."""
        row = self.first("SELECT value, crc32 FROM meta WHERE key = ?", key)
        if row is None:
            return None
        if text_crc32(key, row[0]) != row[1]:
            raise damaged(self.folder / DATABASE_NAME, f"its note {key!r} is not what was written")
        return str(row[0])

    def number(self, key: str) -> int:
        """Return a note that is a number; 0 where there is none yet."""
        return int(self.meta(key) or 0)

    def set_meta(self, **values: str) -> None:
        """Write notes; inside of a transaction."""
        rows = [(key, value, text_crc32(key, value)) for key, value in values.items()]
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        """Fold the write-ahead log into the database."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # A reader holds a snapshot, or the disk is full: the next writer folds it in.
            with closing(connection), suppress(sqlite3.Error):
                connection.execute("PRAGMA busy_timeout = 0")  # waiting for a reader would change nothing
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
