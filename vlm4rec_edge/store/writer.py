"""Write a store: one writer at a time, whole batches or nothing. It takes captions and vectors, and knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vlm4rec_edge.closable import Closable
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import Failure
from vlm4rec_edge.provenance import MadeBy
from vlm4rec_edge.store.content import append_content, compact_content, content_path, row_of
from vlm4rec_edge.store.database import WritableDatabase
from vlm4rec_edge.store.grounded import GroundedItem, write_caption, write_item
from vlm4rec_edge.store.learned import Learned, drop_other_files
from vlm4rec_edge.store.lock import LOCK_NAME, WriterLock
from vlm4rec_edge.store.making import (
    Making,
    note_captions_by,
    note_encoded_text,
    note_made_by,
    note_photo_vectors_by,
    note_vectors_by,
)
from vlm4rec_edge.store.mixing import MixedVectors
from vlm4rec_edge.store.photo_vectors import (
    PATTERN,
    append_photo_vectors,
    compact_photo_vectors,
    has_photo_vector,
    photo_path,
)
from vlm4rec_edge.store.repair import Dropped, drop_damaged
from vlm4rec_edge.store.salvage import salvage_if_needed
from vlm4rec_edge.store.schema import DATABASE_NAME, is_unicode


class BatchCounts(NamedTuple):
    """What one batch changed: new captions, new vectors of texts, new vectors of photos."""

    captions: int
    encoded: int
    photo_vectors: int = 0


class StoreWriter(Closable):
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
        self._database = WritableDatabase(self.folder)
        self._mixed = MixedVectors(self._database)
        if create:
            _make_folder(self.folder)
        elif not (self.folder / DATABASE_NAME).is_file():
            raise StoreError(f"There is no index at {self.folder}.")
        self._lock = WriterLock(self.folder)

    def begin_run(self, making: Making) -> None:
        """Begin a run, and forget the failures of the last one.

        What makes captions and vectors is noted with the first of them: a run that makes none leaves all as it was. The
        vectors of another encoder are dropped then, for those of two are never mixed; captions are kept.
        """
        with self._database.transaction() as connection:
            self.run = self._database.number("run") + 1
            connection.execute("DELETE FROM failures")
            self._database.set_meta(run=str(self.run))
            if self.meta("encoder") is None:  # nothing was made yet that could be kept
                note_captions_by(self._database, making)
                note_vectors_by(self._database, making, self._mixed)
        self._making = making
        self._drop_other_vector_files()

    def end_run(self) -> None:
        """Forget what would have been noted with the first captions and vectors."""
        self._making = None

    def meta(self, key: str) -> str | None:
        """Return one of the notes that ``StoreReader.meta`` holds."""
        return self._database.meta(key)

    def note(self, **values: str) -> None:
        """Keep notes about this run, for ``info`` to show."""
        with self._database.transaction():
            self._database.set_meta(**values)

    def note_encoder(self, vectors_by: MadeBy) -> None:
        """Note anew what made the vectors, where that was lost."""
        with self._database.transaction():
            note_made_by(self._database, "encoder", vectors_by)

    def count(self) -> int:
        """Return how many items can be recommended."""
        return int(self._database.first("SELECT count(*) FROM items WHERE vector_row IS NOT NULL")[0])

    def count_all(self) -> int:
        """Return how many items there are, with those that wait for a vector."""
        return int(self._database.first("SELECT count(*) FROM items")[0])

    def caption(self, key: str) -> str | None:
        """Return a caption made before, by its key."""
        row = self._database.first("SELECT text FROM captions WHERE key = ?", key)
        return row[0] if row else None

    def lacks_photo_vector(self, image_sha256: str) -> bool:
        """Whether this run makes vectors of photos, and this one has none yet."""
        by = self._making.photo_vectors_by if self._making else None
        return by is not None and not has_photo_vector(self._database, by.fingerprint, image_sha256)

    def photo_dimensions(self) -> int:
        """Return the length of the photos' own vectors that this run goes on with; 0 where there are none yet."""
        by = self._making.photo_vectors_by if self._making else None
        is_the_same = by is not None and self.meta("photo_vectors") == by.fingerprint
        return self._database.number("photo_dimensions") if is_the_same else 0

    def seen_in_this_run(self, item_id: str) -> bool:
        """Whether an item of this id was already written in this run, or failed in it and is kept from an earlier one."""
        row = self._database.first("SELECT seen_run FROM items WHERE id = ?", item_id)
        return row is not None and row[0] == self.run

    def ids(self) -> list[str]:
        """Return the id of every item, also one that waits for its vector."""
        return [item_id for (item_id,) in self._database.rows("SELECT id FROM items ORDER BY number")]

    def without_vector(self, texts: Sequence[str]) -> list[str]:
        """Return the different texts that have no vector yet, in order."""
        is_of_another = self._is_of_another_encoder()
        return [text for text in dict.fromkeys(texts) if is_of_another or row_of(self._database, text) is None]

    def items_without_vector(self) -> list[tuple[str, str, list[str]]]:
        """Return id, title and the captions of all photos of the items that have no vector."""
        items = self._database.rows(
            "SELECT items.id, items.title, coalesce(captions.text, '') FROM items "
            "LEFT JOIN captions ON captions.key = items.caption_key WHERE items.vector_row IS NULL"
        )
        further = (
            "SELECT coalesce(captions.text, '') FROM photos LEFT JOIN captions ON captions.key = photos.caption_key "
            "WHERE photos.item = ? ORDER BY photos.place"
        )
        return [
            (item_id, title, [caption, *(more for (more,) in self._database.rows(further, item_id))])
            for item_id, title, caption in items
        ]

    def write(self, batch: Sequence[GroundedItem], vectors: Mapping[str, np.ndarray]) -> BatchCounts:
        """Store a batch of items with their captions, in one transaction.

        Args:
            batch: The items. One whose text has no vector, here or in the store, waits for the next run to encode it.
            vectors: By text, what ``without_vector`` named: unit vectors, [dimensions], float32.
        """
        captions, is_of_another = 0, self._is_of_another_encoder()
        captions_by = self._making.captions_by.fingerprint if self._making and self._making.captions_by else ""
        with self._database.transaction() as connection:
            if self._making is not None:
                note_captions_by(self._database, self._making)
                if vectors or not is_of_another:
                    note_vectors_by(self._database, self._making, self._mixed)
            append_content(self._database, vectors)
            new_photos = self._append_photo_vectors(batch)
            counts = {"columns_count": self._mixed.columns_count, "photos_count": bool(self._mixed.photos)}
            for entry in batch:
                captions += sum(write_caption(connection, photo, captions_by) for photo in entry.photos)
                row = row_of(self._database, entry.text)
                write_item(connection, entry, row, self.run, **counts)
            self._mixed.mix_anew_with_photos(new_photos)
            self._mixed.mix()
        if vectors and is_of_another:
            self._drop_other_vector_files()
        return BatchCounts(captions=captions, encoded=len(vectors), photo_vectors=len(new_photos))

    def _append_photo_vectors(self, batch: Sequence[GroundedItem]) -> list[str]:
        """Store the photos' own vectors of a batch, and return the hashes of the photos that had none; in a transaction."""
        by = self._making.photo_vectors_by if self._making else None
        photos = [photo for entry in batch for photo in entry.photos]
        vectors = {photo.image_sha256: photo.vector for photo in photos if photo.vector is not None}
        if by is None or not vectors:
            return []
        note_photo_vectors_by(self._database, by, len(next(iter(vectors.values()))), self._mixed)
        return append_photo_vectors(self._database, vectors)

    def write_vectors(self, texts: Mapping[str, str], vectors: Mapping[str, np.ndarray]) -> None:
        """Give items (id to text) the vectors of their texts; ``vectors`` are those that are new, as for ``write``."""
        with self._database.transaction():
            self._give_vectors(texts, vectors)
            self._mixed.mix()

    def write_failures(self, failures: Sequence[Failure]) -> None:
        """Record what failed in this run. An item of the same id from an earlier run is kept as it was."""
        with self._database.transaction() as connection:
            for failure in failures:
                connection.execute(
                    "INSERT INTO failures VALUES (?, ?, ?, ?)", (self.run, failure.where, failure.stage, failure.reason)
                )
                connection.execute("UPDATE items SET seen_run = ? WHERE id = ?", (self.run, failure.where))

    def unseen(self) -> list[str]:
        """Return the ids of the items that this run did not see, in the order they were first written."""
        found = self._database.rows("SELECT id FROM items WHERE seen_run <> ? ORDER BY number", self.run)
        return [item_id for (item_id,) in found]

    def prune(self) -> list[str]:
        """Remove the items that this run did not see, and return their ids; call it only after a whole pass.

        Their captions and vectors are kept, should they return.
        """
        unseen = self.unseen()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM items WHERE seen_run <> ?", (self.run,))
        return unseen

    def remove(self, item_ids: Sequence[str]) -> list[str]:
        """Remove items and return the ids that the store did not hold; captions are kept, should the items return."""
        with self._database.transaction() as connection:
            return [
                item_id
                for item_id in dict.fromkeys(item_ids)
                if not is_unicode(item_id)
                or connection.execute("DELETE FROM items WHERE id = ?", (item_id,)).rowcount == 0
            ]

    def _give_vectors(self, texts: Mapping[str, str], vectors: Mapping[str, np.ndarray]) -> None:
        """Do what ``write_vectors`` is for; inside of a transaction."""
        append_content(self._database, vectors)
        self._database.connection.executemany(
            "UPDATE items SET vector_row = ?, learned_row = NULL WHERE id = ?",
            [(row_of(self._database, text), item_id) for item_id, text in texts.items()],
        )

    def learn(
        self,
        learned: Learned,
        texts: Mapping[str, str] | None = None,
        vectors: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Give every item the vector that mixes its words with what was learned, from now on and for new items too.

        Args:
            learned: What was learned.
            texts: Id to text, where items are compared by others from now on, those of ``learned.encoded_text``.
            vectors: By text; what the store has already is not written again.

        Raises:
            StoreError: it was learned of other vectors, or the disk is full; then all is as it was before.
        """
        try:
            with self._database.transaction():
                if texts:
                    new = set(self.without_vector(list(texts.values())))
                    self._give_vectors(texts, {text: vector for text, vector in (vectors or {}).items() if text in new})
                    note_encoded_text(self._database, learned.encoded_text)
                self._mixed.keep(learned)
        finally:  # of what was learned before, or of what could not be kept
            self._drop_other_vector_files()

    def forget_learned(self) -> bool:
        """Go back to the vectors of titles and captions alone; return whether anything was learned."""
        if not self._mixed.fingerprint:
            return False
        with self._database.transaction():
            self._mixed.forget()
        self._drop_other_vector_files()
        return True

    def mix_anew(self) -> None:
        """Make all mixed vectors again, into a new file; nothing where nothing was learned."""
        with self._database.transaction():
            self._mixed.mix_anew()
        self._drop_other_vector_files()

    def compact(self, *, force: bool = False) -> int:
        """Rewrite a vector file that many rows of no item are in, or with ``force``; return how many were dropped."""
        if self._mixed.is_sparse():
            self.mix_anew()
        compact_photo_vectors(self._database, force=False)
        dropped = compact_content(self._database, force=force)
        self._drop_other_vector_files()
        return dropped

    def compact_photo_vectors(self) -> None:
        """Rewrite the file of the photos' own vectors without those of photos that no item has."""
        compact_photo_vectors(self._database, force=True)
        self._drop_other_vector_files()

    def salvage(self) -> bool:
        """Replace a database that SQLite cannot read by what can be saved of it; return whether it was so.

        The damaged file is kept beside it.
        """
        self._database.close()
        return salvage_if_needed(self.folder)

    def drop_damaged(self) -> Dropped:
        """Drop notes, captions, items and vectors that are not what was written."""
        with self._database.changing() as connection:
            return drop_damaged(connection, self.folder)

    def _is_of_another_encoder(self) -> bool:
        """Whether this run has another encoder than the vectors that are still in the store."""
        return self._making is not None and self.meta("encoder") != self._making.vectors_by.fingerprint

    def _drop_other_vector_files(self) -> None:
        drop_other_files(self.folder, self._mixed.fingerprint)
        current = {content_path(self._database), self._mixed.path, photo_path(self._database)}
        for path in (*self.folder.glob("vectors-*.f32"), *self.folder.glob(PATTERN)):
            if path not in current:
                with suppress(OSError):  # some systems keep a file that a reader has mapped; the next run removes it
                    path.unlink()

    def close(self) -> None:
        """Fold the write-ahead log into the database and let other writers in."""
        try:
            self._database.close()
        finally:  # also where Ctrl-C comes now: the process may live on, and its next run must not wait for this one
            self._lock.release()


def _make_folder(folder: Path) -> None:
    try:
        if folder.exists() and not folder.is_dir():
            raise StoreError(f"{folder} is a file; give a folder for the index.")
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / DATABASE_NAME).exists() and not (folder / LOCK_NAME).exists():
            raise StoreError(f"{folder} holds other files and is not an index; give an empty or new folder.")
    except OSError as error:
        raise StoreError(f"{folder} cannot be made or read ({error.strerror}); choose another place.") from error
