"""Write a store: one writer at a time, whole batches or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.store.schema import DATABASE_NAME, open_database
from vlm4rec_edge.store.vectors import append_vectors, vector_file_name

LOCK_NAME = "writer.lock"


@dataclass(frozen=True)
class GroundedItem:
    """An item ready to be stored: its photo's hash, its caption with the caption's key, and the text to encode.

    ``caption_key`` is None for items that are encoded by their title alone.
    """

    item: Item
    image_sha256: str
    caption_key: str | None
    question: str
    caption: str
    text: str


@dataclass(frozen=True)
class BatchCounts:
    """What one batch changed: new captions, newly encoded texts."""

    captions: int
    encoded: int


class StoreWriter:
    """An open store that may be written; a context manager that holds the writer's lock.

    Args:
        folder: The index folder; made if it is not there.
        grounding: Fingerprint and provenance of the captioner, or None when nothing is captioned.
        encoder: Fingerprint and provenance (with ``dimensions``) of the encoder. If the store holds vectors of another
            encoder they are dropped: vectors of two encoders are never mixed, and captions are kept.
        encoded_text: Which text is encoded, for readers to show.

    Raises:
        StoreError: the folder holds something else, can not be written, or another process is writing it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        grounding: tuple[str, Mapping[str, Any]] | None,
        encoder: tuple[str, Mapping[str, Any]],
        encoded_text: str,
    ) -> None:
        self.folder = folder
        _check_folder(folder)
        self._lock = _take_lock(folder)
        try:
            self._database = open_database(folder / DATABASE_NAME, write=True)
            self._grounding = grounding[0] if grounding else None
            self._dimensions = int(encoder[1]["dimensions"])
            self._vector_path = folder / vector_file_name(encoder[0])
            with self._transaction():
                self._begin_run(grounding, encoder, encoded_text)
            self._drop_other_vector_files()
        except BaseException:
            self._lock.close()
            raise

    def _begin_run(
        self,
        grounding: tuple[str, Mapping[str, Any]] | None,
        encoder: tuple[str, Mapping[str, Any]],
        encoded_text: str,
    ) -> None:
        self.run = int(self._meta("run") or 0) + 1
        if self._meta("encoder") != encoder[0]:
            self._database.execute("UPDATE items SET vector_row = NULL")
            self._database.execute("DELETE FROM vectors")
        self._database.execute("DELETE FROM failures")
        for table, entry in (("groundings", grounding), ("encoders", encoder)):
            if entry:
                self._database.execute(
                    f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", (entry[0], json.dumps(entry[1], ensure_ascii=False))
                )
        self._set_meta(
            run=str(self.run),
            encoder=encoder[0],
            encoded_text=encoded_text,
            dimensions=str(self._dimensions),
            grounding=grounding[0] if grounding else "",
            writer=f"process {os.getpid()} on {platform.node()}",
        )

    def _drop_other_vector_files(self) -> None:
        for path in self.folder.glob("vectors-*.f32"):
            if path != self._vector_path:
                path.unlink(missing_ok=True)

    def caption(self, key: str) -> str | None:
        """Return a caption made before, by its key."""
        row = self._database.execute("SELECT text FROM captions WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def seen_in_this_run(self, item_id: str) -> bool:
        """Whether an item of this id was already written, or failed, in this run."""
        row = self._database.execute("SELECT seen_run FROM items WHERE id = ?", (item_id,)).fetchone()
        return row is not None and row[0] == self.run

    def write(self, batch: Sequence[GroundedItem], encode: Callable[[Sequence[str]], np.ndarray]) -> BatchCounts:
        """Store a batch of items with their captions and vectors, in one transaction.

        ``encode`` turns texts into unit vectors [n, dimensions] and is called once with the texts that have none yet.
        """
        texts = {_sha256(entry.text): entry.text for entry in batch}
        rows = {sha256: row for sha256 in texts if (row := self._row_of(sha256)) is not None}
        missing = [sha256 for sha256 in texts if sha256 not in rows]
        first = int(self._database.execute("SELECT coalesce(max(row) + 1, 0) FROM vectors").fetchone()[0])
        if missing:
            append_vectors(self._vector_path, first, encode([texts[sha256] for sha256 in missing]))
        captions = 0
        with self._transaction():
            for row, sha256 in enumerate(missing, start=first):
                self._database.execute("INSERT INTO vectors VALUES (?, ?)", (row, sha256))
                rows[sha256] = row
            for entry in batch:
                captions += self._write_item(entry, rows[_sha256(entry.text)])
        return BatchCounts(captions=captions, encoded=len(missing))

    def _write_item(self, entry: GroundedItem, row: int) -> int:
        added = 0
        if entry.caption_key is not None:
            added = self._database.execute(
                "INSERT OR IGNORE INTO captions VALUES (?, ?, ?, ?, ?)",
                (entry.caption_key, entry.image_sha256, self._grounding, entry.question, entry.caption),
            ).rowcount
        item = entry.item
        attributes = json.dumps(dict(item.attributes), ensure_ascii=False)
        self._database.execute(
            """
            INSERT INTO items (id, image, image_sha256, title, attributes, caption_key, vector_row, seen_run)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET image = excluded.image, image_sha256 = excluded.image_sha256,
                title = excluded.title, attributes = excluded.attributes, caption_key = excluded.caption_key,
                vector_row = excluded.vector_row, seen_run = excluded.seen_run
            """,
            (
                item.id,
                os.fsencode(item.image.absolute()).decode("utf-8", "replace"),
                entry.image_sha256,
                item.title,
                attributes,
                entry.caption_key,
                row,
                self.run,
            ),
        )
        return max(added, 0)

    def write_failures(self, failures: Sequence[Failure]) -> None:
        """Record what failed in this run. An item of the same id from an earlier run is kept as it was."""
        with self._transaction():
            for failure in failures:
                self._database.execute(
                    "INSERT INTO failures VALUES (?, ?, ?, ?)", (self.run, failure.where, failure.stage, failure.reason)
                )
                self._database.execute("UPDATE items SET seen_run = ? WHERE id = ?", (self.run, failure.where))

    def prune(self) -> int:
        """Remove the items that this run did not see, and return how many; call it only after a whole pass."""
        with self._transaction():
            return self._database.execute("DELETE FROM items WHERE seen_run <> ?", (self.run,)).rowcount

    def _row_of(self, text_sha256: str) -> int | None:
        found = self._database.execute("SELECT row FROM vectors WHERE text_sha256 = ?", (text_sha256,)).fetchone()
        return None if found is None else int(found[0])

    def _meta(self, key: str) -> str | None:
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set_meta(self, **values: str) -> None:
        self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise StoreError(f"{self.folder} can not be written: {error}. What was finished before is kept.") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Fold the write-ahead log into the database and let other writers in."""
        with suppress(sqlite3.Error):  # a reader holds a snapshot, or the disk is full: the next writer folds it in
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()
        self._lock.close()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; give a folder for the index.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / DATABASE_NAME).exists() and not (folder / LOCK_NAME).exists():
            raise StoreError(f"{folder} holds other files and is no index; give an empty or new folder.")
    except OSError as error:
        raise StoreError(f"{folder} can not be made or read ({error.strerror}); choose another place.") from error


def _take_lock(folder: Path) -> sqlite3.Connection:
    """Lock the store for this process. SQLite's own file lock works on every system and ends with its holder."""
    try:
        lock = sqlite3.connect(folder / LOCK_NAME, isolation_level=None, timeout=0)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise StoreError(
                f"{folder} can not be written ({error}); check its permissions and the free space."
            ) from error
        raise StoreError(
            f"{folder} is being written by another process{_holder(folder)}; wait for it to end."
        ) from None
    return lock


def _holder(folder: Path) -> str:
    try:
        database = open_database(folder / DATABASE_NAME, write=False)
        row = database.execute("SELECT value FROM meta WHERE key = 'writer'").fetchone()
        database.close()
    except (StoreError, sqlite3.Error):
        return ""
    return f" ({row[0]})" if row else ""
