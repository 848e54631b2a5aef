"""Write a store: one writer at a time, whole batches or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.store.golden import check_golden, golden_of
from vlm4rec_edge.store.lock import LOCK_NAME, WriterLock
from vlm4rec_edge.store.schema import DATABASE_NAME, caption_crc32, is_unicode, open_database, text_crc32
from vlm4rec_edge.store.vectors import append_vectors, map_vectors, next_generation, vector_file_name

# Rows that no item has any more are kept, because an item may come back; beyond this share the file is rewritten.
_ORPHAN_SHARE = 0.2
# Below this many rows the file is too small for its size to matter.
_COMPACT_FROM = 1000
_COMPACT_BLOCK = 4096


class TextEncoder(Protocol):
    """What the store needs of an encoder; ``vlm4rec_edge.Encoder`` is one."""

    fingerprint: str
    dimensions: int
    provenance: dict[str, Any]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors, [len(texts), dimensions], float32."""
        ...


@dataclass(frozen=True)
class GroundedItem:
    """An item ready to be stored: its photo's hash, its caption with the caption's key, and the text to encode.

    ``caption_key`` is None for items that are encoded by their title alone. ``fields`` is the JSON object of a structured
    caption, and None where the caption is a free one or is in the store already.
    """

    item: Item
    image_sha256: str
    caption_key: str | None
    question: str
    caption: str
    text: str
    fields: str | None = None


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
        encoder: Makes the vectors. If the store holds vectors of another encoder they are dropped: vectors of two
            encoders are never mixed, and captions are kept.
        encoded_text: Which text is encoded, for readers to show.

    Raises:
        StoreError: the folder holds something else, can not be written, another process is writing it, or this machine
            computes other vectors from the same words than the machine that made it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        grounding: tuple[str, Mapping[str, Any]] | None,
        encoder: TextEncoder,
        encoded_text: str,
    ) -> None:
        self.folder = folder
        self._encoder = encoder
        self._grounding = grounding[0] if grounding else None
        _check_folder(folder)
        self._lock = WriterLock(folder)
        try:
            self._database = open_database(folder / DATABASE_NAME, write=True)
            try:
                self._check_or_make_golden()
                with self._transaction():
                    self._begin_run(grounding, encoded_text)
                self._drop_other_vector_files()
            except BaseException:
                self._database.close()
                raise
        except BaseException:
            self._lock.release()
            raise

    def _check_or_make_golden(self) -> None:
        golden = self._meta("golden") if self._meta("encoder") == self._encoder.fingerprint else None
        if golden is None:
            self._golden = golden_of(self._encoder)
        else:
            check_golden(golden, self._encoder, self.folder)
            self._golden = golden

    def _begin_run(self, grounding: tuple[str, Mapping[str, Any]] | None, encoded_text: str) -> None:
        self.run = int(self._meta("run") or 0) + 1
        self._generation = int(self._meta("generation") or 0)
        if self._meta("encoder") != self._encoder.fingerprint:
            self._database.execute("UPDATE items SET vector_row = NULL")
            self._database.execute("DELETE FROM vectors")
            self._generation = next_generation(self.folder, self._generation)
        self._database.execute("DELETE FROM failures")
        encoder = (self._encoder.fingerprint, self._encoder.provenance)
        for table, entry in (("groundings", grounding), ("encoders", encoder)):
            if entry:
                self._database.execute(
                    f"INSERT INTO {table} VALUES (?, ?) "
                    "ON CONFLICT (fingerprint) DO UPDATE SET provenance = excluded.provenance",
                    (entry[0], json.dumps(entry[1], ensure_ascii=False)),
                )
        self._set_meta(
            run=str(self.run),
            encoder=self._encoder.fingerprint,
            generation=str(self._generation),
            encoded_text=encoded_text,
            dimensions=str(self._encoder.dimensions),
            golden=self._golden,
        )
        if grounding:  # removing items, or encoding titles, does not change what made the captions
            self._set_meta(grounding=grounding[0])

    @property
    def _vector_path(self) -> Path:
        return self.folder / vector_file_name(self._encoder.fingerprint, self._generation)

    def _drop_other_vector_files(self) -> None:
        for path in self.folder.glob("vectors-*.f32"):
            if path != self._vector_path:
                with suppress(OSError):  # some systems keep a file that a reader has mapped; the next run removes it
                    path.unlink()

    def caption(self, key: str) -> str | None:
        """Return a caption made before, by its key."""
        row = self._first("SELECT text FROM captions WHERE key = ?", key)
        return row[0] if row else None

    def seen_in_this_run(self, item_id: str) -> bool:
        """Whether an item of this id was already written in this run, or failed in it and is kept from an earlier one."""
        row = self._first("SELECT seen_run FROM items WHERE id = ?", item_id)
        return row is not None and row[0] == self.run

    def write(self, batch: Sequence[GroundedItem]) -> BatchCounts:
        """Store a batch of items with their captions and vectors, in one transaction; texts that have a vector keep it.

        Raises:
            StoreError: the disk is full or the store can not be written; what was written before is kept.
        """
        texts = {_sha256(entry.text): entry.text for entry in batch}
        captions = 0
        with self._transaction():
            rows, encoded = self._encode_missing(texts)
            for entry in batch:
                captions += self._write_caption(entry)
                self._write_item(entry, rows[_sha256(entry.text)])
        return BatchCounts(captions=captions, encoded=encoded)

    def write_vectors(self, texts: Mapping[str, str]) -> None:
        """Encode ``texts`` (item id to text) for items that lost their vectors."""
        batch = {_sha256(text): text for text in texts.values()}
        with self._transaction():
            rows, _ = self._encode_missing(batch)
            for item_id, text in texts.items():
                self._database.execute("UPDATE items SET vector_row = ? WHERE id = ?", (rows[_sha256(text)], item_id))

    def _encode_missing(self, texts: Mapping[str, str]) -> tuple[dict[str, int], int]:
        """Return the row of each text (sha256 to text), and how many had none and were encoded; inside a transaction."""
        rows = {sha256: row for sha256 in texts if (row := self._row_of(sha256)) is not None}
        missing = [sha256 for sha256 in texts if sha256 not in rows]
        if missing:
            first = int(self._first("SELECT coalesce(max(row) + 1, 0) FROM vectors")[0])
            vectors = self._encoder.encode([texts[sha256] for sha256 in missing])
            checksums = append_vectors(self._vector_path, first, vectors)
            for row, (sha256, checksum) in enumerate(zip(missing, checksums, strict=True), start=first):
                self._database.execute("INSERT INTO vectors VALUES (?, ?, ?)", (row, sha256, checksum))
                rows[sha256] = row
        return rows, len(missing)

    def _write_caption(self, entry: GroundedItem) -> int:
        if entry.caption_key is None:
            return 0
        said = entry.question, entry.caption
        checksum = caption_crc32(entry.caption_key, entry.image_sha256, *said, entry.fields)
        added = self._database.execute(
            "INSERT OR IGNORE INTO captions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (entry.caption_key, entry.image_sha256, self._grounding, *said, checksum, entry.fields),
        ).rowcount
        return max(added, 0)

    def _write_item(self, entry: GroundedItem, row: int) -> None:
        item = entry.item
        image = os.fsencode(item.image.absolute()).decode("utf-8", "replace")
        attributes = json.dumps(dict(item.attributes), ensure_ascii=False)
        checksum = text_crc32(item.id, image, entry.image_sha256, item.title, attributes, entry.caption_key)
        self._database.execute(
            """
            INSERT INTO items (id, image, image_sha256, title, attributes, caption_key, vector_row, seen_run, crc32)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET image = excluded.image, image_sha256 = excluded.image_sha256,
                title = excluded.title, attributes = excluded.attributes, caption_key = excluded.caption_key,
                vector_row = excluded.vector_row, seen_run = excluded.seen_run, crc32 = excluded.crc32
            """,
            (item.id, image, entry.image_sha256, item.title, attributes, entry.caption_key, row, self.run, checksum),
        )

    def write_failures(self, failures: Sequence[Failure]) -> None:
        """Record what failed in this run. An item of the same id from an earlier run is kept as it was."""
        with self._transaction():
            for failure in failures:
                self._database.execute(
                    "INSERT INTO failures VALUES (?, ?, ?, ?)", (self.run, failure.where, failure.stage, failure.reason)
                )
                self._database.execute("UPDATE items SET seen_run = ? WHERE id = ?", (self.run, failure.where))

    def note(self, **values: str) -> None:
        """Keep notes about this run, for ``info`` to show."""
        with self._transaction():
            self._set_meta(**values)

    def prune(self) -> int:
        """Remove the items that this run did not see, and return how many; call it only after a whole pass."""
        with self._transaction():
            return self._database.execute("DELETE FROM items WHERE seen_run <> ?", (self.run,)).rowcount

    def compact(self, *, force: bool = False) -> int:
        """Rewrite the vector file without the rows that no item has; return how many were dropped.

        Only if they are many, or with ``force``. The new file is whole on disk before one transaction makes it the one
        in use, so a crash leaves the old one. Readers that have the old file open keep their view.
        """
        rows = int(self._first("SELECT coalesce(max(row) + 1, 0) FROM vectors")[0])
        live = int(self._first("SELECT count(DISTINCT vector_row) FROM items")[0])
        if not force and (rows < _COMPACT_FROM or rows - live <= _ORPHAN_SHARE * rows):
            return 0
        old = map_vectors(self._vector_path, rows, self._encoder.dimensions)
        generation = next_generation(self.folder, self._generation)
        target = self.folder / vector_file_name(self._encoder.fingerprint, generation)
        try:
            with self._transaction():
                self._move_rows(old, target)
                self._set_meta(generation=str(generation))
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        self._generation = generation
        del old
        self._drop_other_vector_files()
        return rows - live

    def _move_rows(self, old: np.ndarray, target: Path) -> None:
        """Write the rows that items have to ``target``, without gaps, and tell the database; inside a transaction."""
        self._database.execute("PRAGMA defer_foreign_keys = ON")
        self._database.execute("CREATE TEMP TABLE moves (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)")
        kept = self._database.execute(
            "SELECT DISTINCT vector_row FROM items WHERE vector_row IS NOT NULL ORDER BY vector_row"
        )
        written = 0
        while block := [row for (row,) in kept.fetchmany(_COMPACT_BLOCK)]:
            append_vectors(target, written, old[block])
            self._database.executemany(
                "INSERT INTO moves VALUES (?, ?)", zip(block, range(written, written + len(block)), strict=True)
            )
            written += len(block)
        self._database.execute("DELETE FROM vectors WHERE row NOT IN (SELECT old FROM moves)")
        # By way of negative numbers, so that no row meets another on its way.
        self._database.execute("UPDATE vectors SET row = (SELECT -1 - new FROM moves WHERE old = row)")
        self._database.execute("UPDATE vectors SET row = -1 - row")
        self._database.execute(
            "UPDATE items SET vector_row = (SELECT new FROM moves WHERE old = vector_row) WHERE vector_row IS NOT NULL"
        )
        self._database.execute("DROP TABLE moves")

    def _row_of(self, text_sha256: str) -> int | None:
        found = self._first("SELECT row FROM vectors WHERE text_sha256 = ?", text_sha256)
        return None if found is None else int(found[0])

    def _meta(self, key: str) -> str | None:
        row = self._first("SELECT value, crc32 FROM meta WHERE key = ?", key)
        if row is None:
            return None
        if text_crc32(key, row[0]) != row[1]:
            raise self._damaged(f"its note {key!r} is not what was written")
        return str(row[0])

    def _first(self, query: str, *parameters: str) -> Any:
        try:
            return self._database.execute(query, parameters).fetchone()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> StoreError:
        if isinstance(error, sqlite3.OperationalError):
            return StoreError(f"{self.folder} can not be written: {error}. What was finished before is kept.")
        return self._damaged(error)

    def _damaged(self, reason: object) -> StoreError:
        return StoreError(
            f"{self.folder / DATABASE_NAME} is damaged ({reason}); run: vlm4rec-edge repair {self.folder}"
        )

    def _set_meta(self, **values: str) -> None:
        rows = [(key, value, text_crc32(key, value)) for key, value in values.items()]
        self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._explained(error) from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Fold the write-ahead log into the database and let other writers in."""
        with suppress(sqlite3.Error):  # a reader holds a snapshot, or the disk is full: the next writer folds it in
            self._database.execute("PRAGMA busy_timeout = 0")  # waiting five seconds for a reader would change nothing
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()
        self._lock.release()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def remove_items(folder: Path, item_ids: Sequence[str]) -> list[str]:
    """Remove items from a store and return the ids that it did not hold; their captions are kept, should they return.

    Raises:
        StoreError: there is no store, or another process is writing it.
    """
    path = folder / DATABASE_NAME
    if not path.is_file():
        raise StoreError(f"There is no index at {folder}.")
    lock = WriterLock(folder)
    try:
        database = open_database(path, write=True)
        try:
            database.execute("BEGIN IMMEDIATE")
            unknown = [
                item_id
                for item_id in dict.fromkeys(item_ids)
                if not is_unicode(item_id)
                or database.execute("DELETE FROM items WHERE id = ?", (item_id,)).rowcount == 0
            ]
            database.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"{folder} can not be written: {error}.") from error
        finally:
            database.close()
    finally:
        lock.release()
    return unknown


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _check_folder(folder: Path) -> None:
    try:
        if folder.exists() and not folder.is_dir():
            raise StoreError(f"{folder} is a file; give a folder for the index.")
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / DATABASE_NAME).exists() and not (folder / LOCK_NAME).exists():
            raise StoreError(f"{folder} holds other files and is no index; give an empty or new folder.")
    except OSError as error:
        raise StoreError(f"{folder} can not be made or read ({error.strerror}); choose another place.") from error
