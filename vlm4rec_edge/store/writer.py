"""Write a store: one writer at a time, whole batches or nothing. It takes captions and vectors, and knows no model."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from vlm4rec_edge.errors import StoreError, Vlm4RecWarning
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.provenance import MadeBy
from vlm4rec_edge.store.learned import Learned, drop_other_files, read_learned
from vlm4rec_edge.store.lock import LOCK_NAME, WriterLock
from vlm4rec_edge.store.mend import Dropped, drop_damaged
from vlm4rec_edge.store.salvage import salvage_if_needed
from vlm4rec_edge.store.schema import DATABASE_NAME, caption_crc32, is_unicode, open_database, photo_crc32, text_crc32
from vlm4rec_edge.store.trouble import damaged, explained
from vlm4rec_edge.store.vectors import append_vectors, map_vectors, next_generation, vector_file_name

# Rows that no item has any more are kept, because an item may come back; beyond this share the file is rewritten.
_ORPHAN_SHARE = 0.2
# Below this many rows the file is too small for its size to matter.
_COMPACT_FROM = 1000
_COMPACT_BLOCK = 4096
# Mixed vectors made and written at a time: 14 MB at 450 dimensions.
_MIXED_ROWS = 8192


@dataclass(frozen=True)
class GroundedPhoto:
    """A photo with its caption: its path, the hash of its bytes, and as of ``GroundedItem`` what belongs to a caption."""

    image: Path
    image_sha256: str
    caption_key: str | None
    question: str
    caption: str
    fields: str | None = None


@dataclass(frozen=True)
class GroundedItem:
    """An item ready to be stored: its photo's hash, its caption with the caption's key, and the text to encode.

    These are of its first photo; ``more`` are its further ones, and ``text`` is made of all.
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
    more: tuple[GroundedPhoto, ...] = ()

    @property
    def photos(self) -> tuple[GroundedPhoto, ...]:
        """All its photos, the first one first."""
        own = self.image_sha256, self.caption_key, self.question, self.caption, self.fields
        return (GroundedPhoto(self.item.image, *own), *self.more)


@dataclass(frozen=True)
class Making:
    """What makes the captions and vectors of a run.

    Attributes:
        captions_by: None where nothing is captioned; then it stays noted what made the captions.
        vectors_by: The encoder.
        dimensions: Length of its vectors.
        golden: Its golden vectors, as text.
        encoded_text: Which text is encoded, for readers to show.
        captioner_notes: Further notes about what makes the captions, by which it is found again.
        encoder_notes: Those about what makes the vectors.
    """

    captions_by: MadeBy | None
    vectors_by: MadeBy
    dimensions: int
    golden: str
    encoded_text: str
    captioner_notes: Mapping[str, str] = field(default_factory=dict)
    encoder_notes: Mapping[str, str] = field(default_factory=dict)


class BatchCounts(NamedTuple):
    """What one batch changed: new captions, new vectors."""

    captions: int
    encoded: int


class StoreWriter:
    """The right to write a store, and the methods for it; a context manager that holds the writer's lock.

    Args:
        folder: The index folder.
        create: Whether it is made if it is not there.

    Attributes:
        run: Number of the run that ``begin_run`` began.

    Raises:
        StoreError: there is no index (without ``create``), the folder holds something else, cannot be written, or another
            process is writing it. Every method raises it where the disk is full or the database is damaged; what was
            written before is kept.
    """

    run = 0

    def __init__(self, folder: Path | str, *, create: bool = True) -> None:
        self.folder = Path(folder)
        self._making: Making | None = None
        self._learned: Learned | None = None
        self._connection: sqlite3.Connection | None = None
        if create:
            _make_folder(self.folder)
        elif not (self.folder / DATABASE_NAME).is_file():
            raise StoreError(f"There is no index at {self.folder}.")
        self._lock = WriterLock(self.folder)

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_database(self.folder / DATABASE_NAME, write=True)
        return self._connection

    def golden(self, encoder: str) -> str | None:
        """Return the golden vectors noted in the store, if its vectors are those of ``encoder``, a fingerprint."""
        return self.meta("golden") if self.meta("encoder") == encoder else None

    def begin_run(self, making: Making) -> None:
        """Begin a run, and forget the failures of the last one.

        What makes captions and vectors is noted with the first of them: a run that makes none leaves all as it was. The
        vectors of another encoder are dropped then, for those of two are never mixed; captions are kept.
        """
        with self._transaction():
            self.run = int(self.meta("run") or 0) + 1
            self._database.execute("DELETE FROM failures")
            self._set_meta(run=str(self.run))
            if self.meta("encoder") is None:  # nothing was made yet that could be kept
                self._note_captions_by(making)
                self._note_vectors_by(making)
        self._making = making
        self._drop_other_vector_files()

    def end_run(self) -> None:
        """Forget what would have been noted with the first captions and vectors."""
        self._making = None

    def _is_of_another_encoder(self) -> bool:
        """Whether this run has another encoder than the vectors that are still in the store."""
        return self._making is not None and self.meta("encoder") != self._making.vectors_by.fingerprint

    def _note_captions_by(self, making: Making) -> None:
        if making.captions_by:
            self._made_by("grounding", making.captions_by)
        self._set_meta(**making.captioner_notes)

    def _note_vectors_by(self, making: Making) -> None:
        """Note what makes the vectors; drop those of another encoder, whose file stays until all this is stored."""
        made = making.vectors_by.fingerprint, making.encoded_text
        if self.meta("learned") and (self.meta("encoder"), self.meta("encoded_text")) != made:
            warnings.warn(
                f"What {self.folder} learned from purchases was learned of other vectors and is forgotten; learn again: "
                f"vlm4rec-edge learn {self.folder} --interactions FILE",
                Vlm4RecWarning,
                stacklevel=3,
            )
            self._forget_learned()
        generation = int(self.meta("generation") or 0)
        # What was encoded before: items that the catalog no longer has, or that fail, keep the vector of that.
        before = [*(self.meta("encoded_before") or "").split(), self.meta("encoded_text") or ""]
        if self.meta("encoder") != making.vectors_by.fingerprint:
            self._database.execute("UPDATE items SET vector_row = NULL")
            self._database.execute("DELETE FROM vectors")
            generation = next_generation(self.folder, generation)
            before = []
        self._made_by("encoder", making.vectors_by)
        self._set_meta(
            generation=str(generation),
            encoded_text=making.encoded_text,
            encoded_before=" ".join(dict.fromkeys(kind for kind in before if kind not in ("", making.encoded_text))),
            dimensions=str(making.dimensions),
            golden=making.golden,
            **making.encoder_notes,
        )

    def note_encoder(self, vectors_by: MadeBy) -> None:
        """Note anew what made the vectors, where that was lost."""
        with self._transaction():
            self._made_by("encoder", vectors_by)

    def _made_by(self, what: str, made_by: MadeBy) -> None:
        self._database.execute(
            f"INSERT INTO {what}s VALUES (?, ?) ON CONFLICT (fingerprint) DO UPDATE SET provenance = excluded.provenance",
            (made_by.fingerprint, json.dumps(made_by.identity, ensure_ascii=False)),
        )
        self._set_meta(**{what: made_by.fingerprint})

    @property
    def _vector_path(self) -> Path:
        return self.folder / vector_file_name(self.meta("encoder") or "", int(self.meta("generation") or 0))

    def _drop_other_vector_files(self) -> None:
        current = {self._vector_path, self._learned_path}
        drop_other_files(self.folder, self.meta("learned") or "")
        for path in self.folder.glob("vectors-*.f32"):
            if path not in current:
                with suppress(OSError):  # some systems keep a file that a reader has mapped; the next run removes it
                    path.unlink()

    def count(self) -> int:
        """Return how many items can be recommended."""
        return int(self._first("SELECT count(*) FROM items WHERE vector_row IS NOT NULL")[0])

    def count_all(self) -> int:
        """Return how many items there are, with those that wait for a vector."""
        return int(self._first("SELECT count(*) FROM items")[0])

    def caption(self, key: str) -> str | None:
        """Return a caption made before, by its key."""
        row = self._first("SELECT text FROM captions WHERE key = ?", key)
        return row[0] if row else None

    def seen_in_this_run(self, item_id: str) -> bool:
        """Whether an item of this id was already written in this run, or failed in it and is kept from an earlier one."""
        row = self._first("SELECT seen_run FROM items WHERE id = ?", item_id)
        return row is not None and row[0] == self.run

    def ids(self) -> list[str]:
        """Return the id of every item, also one that waits for its vector."""
        try:
            return [item_id for (item_id,) in self._database.execute("SELECT id FROM items ORDER BY number")]
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def without_vector(self, texts: Sequence[str]) -> list[str]:
        """Return the different texts that have no vector yet, in order."""
        is_of_another = self._is_of_another_encoder()
        return [text for text in dict.fromkeys(texts) if is_of_another or self._row_of(text) is None]

    def items_without_vector(self) -> list[tuple[str, str, list[str]]]:
        """Return id, title and the captions of all photos of the items that have no vector."""
        query = (
            "SELECT items.id, items.title, coalesce(captions.text, '') FROM items "
            "LEFT JOIN captions ON captions.key = items.caption_key WHERE items.vector_row IS NULL"
        )
        further = (
            "SELECT coalesce(captions.text, '') FROM photos LEFT JOIN captions ON captions.key = photos.caption_key "
            "WHERE photos.item = ? ORDER BY photos.place"
        )
        try:
            return [
                (item_id, title, [caption, *(more for (more,) in self._database.execute(further, (item_id,)))])
                for item_id, title, caption in self._database.execute(query).fetchall()
            ]
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def write(self, batch: Sequence[GroundedItem], vectors: Mapping[str, np.ndarray]) -> BatchCounts:
        """Store a batch of items with their captions, in one transaction.

        Args:
            batch: The items. One whose text has no vector, here or in the store, waits for the next run to encode it.
            vectors: By text, what ``without_vector`` named: unit vectors, [dimensions], float32.
        """
        captions, is_of_another = 0, self._is_of_another_encoder()
        with self._transaction():
            if self._making is not None:
                self._note_captions_by(self._making)
                if vectors or not is_of_another:
                    self._note_vectors_by(self._making)
            self._append(vectors)
            for entry in batch:
                captions += sum(map(self._write_caption, entry.photos))
                self._write_item(entry, self._row_of(entry.text))
            self._mix()
        if vectors and is_of_another:
            self._drop_other_vector_files()
        return BatchCounts(captions=captions, encoded=len(vectors))

    def write_vectors(self, texts: Mapping[str, str], vectors: Mapping[str, np.ndarray]) -> None:
        """Give items (id to text) the vectors of their texts; ``vectors`` are those that are new, as for ``write``."""
        with self._transaction():
            self._append(vectors)
            for item_id, text in texts.items():
                self._database.execute(
                    "UPDATE items SET vector_row = ?, learned_row = NULL WHERE id = ?", (self._row_of(text), item_id)
                )
            self._mix()

    def learn(self, learned: Learned) -> None:
        """Give every item the vector that mixes its words with what was learned, from now on and for new items too.

        Raises:
            StoreError: it was learned of other vectors, or the disk is full; then all is as it was before.
        """
        if (learned.encoder, learned.encoded_text) != (self.meta("encoder"), self.meta("encoded_text")):
            raise StoreError(f"{self.folder} has other vectors than this was learned of; learn again.")
        learned.save(self.folder)
        with self._transaction():
            self._set_meta(
                learned=learned.fingerprint,
                learned_factors=str(learned.layout.factors),
                learned_facts=json.dumps(dict(learned.facts)),
            )
            self._mix_anew()
        self._drop_other_vector_files()

    def forget_learned(self) -> bool:
        """Go back to the vectors of the words alone; return whether anything was learned."""
        if not self.meta("learned"):
            return False
        with self._transaction():
            self._forget_learned()
        self._drop_other_vector_files()
        return True

    def _forget_learned(self) -> None:
        self._database.execute("DELETE FROM meta WHERE key LIKE 'learned%'")
        self._database.execute("UPDATE items SET learned_row = NULL")

    def mix_anew(self) -> None:
        """Make all mixed vectors again, into a new file; nothing where nothing was learned."""
        if self.meta("learned"):
            with self._transaction():
                self._mix_anew()
            self._drop_other_vector_files()

    def _mix_anew(self) -> None:
        generation = next_generation(self.folder, int(self.meta("learned_generation") or 0))
        self._set_meta(learned_generation=str(generation), learned_rows="0")
        self._database.execute("UPDATE items SET learned_row = NULL")
        self._mix()

    def _mix(self) -> None:
        """Give the items that lack it their mixed vector; inside a transaction."""
        fingerprint = self.meta("learned")
        if not fingerprint:
            return
        query = (
            "SELECT number, id, attributes, vector_row FROM items WHERE vector_row IS NOT NULL AND learned_row IS NULL "
            f"ORDER BY number LIMIT {_MIXED_ROWS}"
        )
        while items := self._database.execute(query).fetchall():
            if self._learned is None or self._learned.fingerprint != fingerprint:
                self._learned = read_learned(self.folder, fingerprint)
            rows = [row for *_, row in items]
            content = map_vectors(self._vector_path, max(rows) + 1, int(self.meta("dimensions") or 0))[rows]
            cells = [json.loads(attributes) for _, _, attributes, _ in items]
            ids, numbers = [item_id for _, item_id, *_ in items], [number for number, *_ in items]
            first = int(self.meta("learned_rows") or 0)
            append_vectors(self._learned_path, first, self._learned.vectors(ids, content, cells, numbers))
            self._database.executemany(
                "UPDATE items SET learned_row = ? WHERE number = ?",
                [(first + place, number) for place, number in enumerate(numbers)],
            )
            self._set_meta(learned_rows=str(first + len(items)))

    @property
    def _learned_path(self) -> Path:
        return self.folder / vector_file_name(self.meta("learned") or "", int(self.meta("learned_generation") or 0))

    def _append(self, vectors: Mapping[str, np.ndarray]) -> None:
        if not vectors:
            return
        first = int(self._first("SELECT coalesce(max(row) + 1, 0) FROM vectors")[0])
        checksums = append_vectors(self._vector_path, first, np.array(list(vectors.values())))
        for row, (text, checksum) in enumerate(zip(vectors, checksums, strict=True), start=first):
            self._database.execute("INSERT INTO vectors VALUES (?, ?, ?)", (row, _sha256(text), checksum))

    def _write_caption(self, entry: GroundedPhoto) -> int:
        if entry.caption_key is None:
            return 0
        made_by = self._making.captions_by if self._making else None
        captions_by, said = made_by.fingerprint if made_by else "", (entry.question, entry.caption)
        checksum = caption_crc32(entry.caption_key, entry.image_sha256, *said, entry.fields)
        added = self._database.execute(
            "INSERT OR IGNORE INTO captions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (entry.caption_key, entry.image_sha256, captions_by, *said, checksum, entry.fields),
        ).rowcount
        return max(added, 0)

    def _write_item(self, entry: GroundedItem, row: int | None) -> None:
        item = entry.item
        image = _path(item.image)
        attributes = json.dumps(dict(item.attributes), ensure_ascii=False)
        checksum = text_crc32(item.id, image, entry.image_sha256, item.title, attributes, entry.caption_key)
        self._database.execute(
            """
            INSERT INTO items (id, image, image_sha256, title, attributes, caption_key, vector_row, seen_run, crc32)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET image = excluded.image, image_sha256 = excluded.image_sha256,
                title = excluded.title, attributes = excluded.attributes, caption_key = excluded.caption_key,
                learned_row = CASE WHEN vector_row IS excluded.vector_row THEN learned_row END,
                vector_row = excluded.vector_row, seen_run = excluded.seen_run, crc32 = excluded.crc32
            """,
            (item.id, image, entry.image_sha256, item.title, attributes, entry.caption_key, row, self.run, checksum),
        )
        self._database.execute("DELETE FROM photos WHERE item = ?", (item.id,))
        for place, photo in enumerate(entry.more, start=2):
            said = _path(photo.image), photo.image_sha256, photo.caption_key
            self._database.execute(
                "INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?)",
                (item.id, place, *said, photo_crc32(item.id, place, *said)),
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

    def unseen(self) -> list[str]:
        """Return the ids of the items that this run did not see, in the order they were first written."""
        try:
            found = self._database.execute("SELECT id FROM items WHERE seen_run <> ? ORDER BY number", (self.run,))
            return [item_id for (item_id,) in found]
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def prune(self) -> list[str]:
        """Remove the items that this run did not see, and return their ids; call it only after a whole pass.

        Their captions and vectors are kept, should they return.
        """
        unseen = self.unseen()
        with self._transaction():
            self._database.execute("DELETE FROM items WHERE seen_run <> ?", (self.run,))
        return unseen

    def remove(self, item_ids: Sequence[str]) -> list[str]:
        """Remove items and return the ids that the store did not hold; captions are kept, should the items return."""
        with self._transaction():
            return [
                item_id
                for item_id in dict.fromkeys(item_ids)
                if not is_unicode(item_id)
                or self._database.execute("DELETE FROM items WHERE id = ?", (item_id,)).rowcount == 0
            ]

    def salvage(self) -> bool:
        """Replace a database that SQLite cannot read by what can be saved of it; return whether it was so.

        The damaged file is kept beside it.
        """
        self._disconnect()
        return salvage_if_needed(self.folder)

    def drop_damaged(self) -> Dropped:
        """Drop notes, captions, items and vectors that are not what was written."""
        try:
            return drop_damaged(self._database, self.folder)
        except sqlite3.Error as error:
            raise self._explained(error) from error
        finally:
            self._roll_back()

    def compact(self, *, force: bool = False) -> int:
        """Rewrite the vector file without the rows that no item has; return how many were dropped.

        Only if they are many, or with ``force``. The new file is whole on disk before one transaction makes it the one
        in use, so a crash leaves the old one. Readers that have the old file open keep their view.
        """
        made, mixed = int(self.meta("learned_rows") or 0), int(self._first("SELECT count(learned_row) FROM items")[0])
        if made >= _COMPACT_FROM and made - mixed > _ORPHAN_SHARE * made:
            self.mix_anew()
        rows = int(self._first("SELECT coalesce(max(row) + 1, 0) FROM vectors")[0])
        live = int(self._first("SELECT count(DISTINCT vector_row) FROM items")[0])
        if not force and (rows < _COMPACT_FROM or rows - live <= _ORPHAN_SHARE * rows):
            return 0
        old = map_vectors(self._vector_path, rows, int(self.meta("dimensions") or 0))
        generation = next_generation(self.folder, int(self.meta("generation") or 0))
        target = self.folder / vector_file_name(self.meta("encoder") or "", generation)
        try:
            with self._transaction():
                self._move_rows(old, target)
                self._set_meta(generation=str(generation))
        except BaseException:
            target.unlink(missing_ok=True)
            raise
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

    def _row_of(self, text: str) -> int | None:
        found = self._first("SELECT row FROM vectors WHERE text_sha256 = ?", _sha256(text))
        return None if found is None else int(found[0])

    def meta(self, key: str) -> str | None:
        """Return one of the notes that ``StoreReader.meta`` holds."""
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
        return explained(error, self.folder / DATABASE_NAME, kept=True)

    def _damaged(self, reason: object) -> StoreError:
        return damaged(self.folder / DATABASE_NAME, reason)

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
        try:
            self._disconnect()
        finally:  # also where Ctrl-C comes now: the process may live on, and its next run must not wait for this one
            self._lock.release()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # A reader holds a snapshot, or the disk is full: the next writer folds it in.
            with closing(connection), suppress(sqlite3.Error):
                connection.execute("PRAGMA busy_timeout = 0")  # waiting for a reader would change nothing
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _path(image: Path) -> str:
    return os.fsencode(image.absolute()).decode("utf-8", "replace")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _make_folder(folder: Path) -> None:
    try:
        if folder.exists() and not folder.is_dir():
            raise StoreError(f"{folder} is a file; give a folder for the index.")
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / DATABASE_NAME).exists() and not (folder / LOCK_NAME).exists():
            raise StoreError(f"{folder} holds other files and is no index; give an empty or new folder.")
    except OSError as error:
        raise StoreError(f"{folder} cannot be made or read ({error.strerror}); choose another place.") from error
