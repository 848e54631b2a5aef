"""Drop from a store what is not what was written, so that the next run makes it again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm4rec_edge.provenance import is_provenance
from vlm4rec_edge.store.check import (
    bad_photo_rows,
    bad_vector_rows,
    damaged_captions,
    damaged_items,
    items_of_damaged_photos,
    items_of_other_texts,
)
from vlm4rec_edge.store.photo_vectors import NOTES, photo_file_name
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.salvage import keep_groundings_of_captions
from vlm4rec_edge.store.schema import text_crc32
from vlm4rec_edge.store.vectors import DTYPE, vector_file_name

# Without these it is no longer known what the vectors are.
_NEEDED_NOTES = {"encoder", "dimensions", "generation", "encoded_text", "golden"}


@dataclass(frozen=True)
class Dropped:
    """How much was dropped. ``notes``: it is no longer known what made the vectors, so all of them are gone."""

    items: int
    captions: int
    vectors: int
    notes: bool
    photo_vectors: int = 0


def drop_damaged(database: sqlite3.Connection, folder: Path) -> Dropped:
    """Drop damaged notes, captions, items and vectors of a store that is open for writing."""
    lost = _drop_notes(database)
    captions, items = _drop_texts(database)
    vectors = _drop_vectors(database, folder) if lost is None else lost
    photo_vectors = _drop_photo_vectors(database, folder)
    return Dropped(items, captions, vectors, notes=lost is not None, photo_vectors=photo_vectors)


def _drop_notes(database: sqlite3.Connection) -> int | None:
    """Drop notes and provenance that are not what was written.

    Where it is no longer known what the vectors are, the items lose them, and the next run encodes the captions again: return
    how many vectors that were, else None.
    """
    database.execute("BEGIN IMMEDIATE")
    for key, value, checksum in database.execute("SELECT key, value, crc32 FROM meta").fetchall():
        if text_crc32(key, value) != checksum:
            database.execute("DELETE FROM meta WHERE key = ?", (key,))
    for table in ("groundings", "encoders"):
        for key, text in database.execute(f"SELECT fingerprint, provenance FROM {table}").fetchall():
            if not is_provenance(key, text):  # kept for the captions that point to it; the next run writes it again
                database.execute(f"UPDATE {table} SET provenance = '{{}}' WHERE fingerprint = ?", (key,))
    keep_groundings_of_captions(database)
    lost = None
    if not {key for (key,) in database.execute("SELECT key FROM meta")} >= _NEEDED_NOTES:
        database.execute("DELETE FROM meta WHERE key = 'encoder'")
        database.execute("UPDATE items SET vector_row = NULL")
        lost = database.execute("DELETE FROM vectors").rowcount
    database.execute("COMMIT")
    return lost


def _drop_texts(database: sqlite3.Connection) -> tuple[int, int]:
    """Drop captions and items that differ from their checksum; return how many of each."""
    captions = damaged_captions(database.execute)
    # An item goes with any of its photos: with fewer it would be another item, and the next run makes it whole.
    items = [*damaged_items(database.execute), *dict.fromkeys(items_of_damaged_photos(database.execute))]
    database.execute("BEGIN IMMEDIATE")
    for item_id in items:
        database.execute("DELETE FROM items WHERE id = ?", (item_id,))
    for key in captions:
        # An item without its caption would be encoded as nothing; the next run makes both again.
        database.execute(
            "DELETE FROM items WHERE caption_key = ?1 OR id IN (SELECT item FROM photos WHERE caption_key = ?1)", (key,)
        )
        database.execute("DELETE FROM captions WHERE key = ?", (key,))
    # The same for a caption whose key itself was damaged: its item still names the right one.
    widowed = database.execute(
        "DELETE FROM items WHERE caption_key IS NOT NULL AND caption_key NOT IN (SELECT key FROM captions) OR id IN "
        "(SELECT item FROM photos WHERE caption_key IS NOT NULL AND caption_key NOT IN (SELECT key FROM captions))"
    ).rowcount
    database.execute("COMMIT")
    return len(captions), len(items) + widowed


def _drop_vectors(database: sqlite3.Connection, folder: Path) -> int:
    """Forget the vectors that are missing or not what was written; return how many."""
    meta = dict(database.execute("SELECT key, value FROM meta"))
    width = int(meta["dimensions"]) * DTYPE.itemsize
    path = folder / vector_file_name(meta["encoder"], int(meta["generation"]))
    whole = path.stat().st_size // width if path.is_file() else 0
    missing = [row for (row,) in database.execute("SELECT row FROM vectors WHERE row >= ?", (whole,))]
    dropped = _forget(database, missing)
    with StoreReader(folder, content=True) as store:
        bad, misled = bad_vector_rows(store), items_of_other_texts(store)
    dropped += _forget(database, bad)
    database.execute("BEGIN IMMEDIATE")
    for item_id in misled:
        database.execute("UPDATE items SET vector_row = NULL WHERE id = ?", (item_id,))
    database.execute("COMMIT")
    return dropped


def _drop_photo_vectors(database: sqlite3.Connection, folder: Path) -> int:
    """Forget the photos' own vectors that are missing or not what was written; return how many."""
    meta = dict(database.execute("SELECT key, value FROM meta"))
    known = [row for (row,) in database.execute("SELECT row FROM photo_vectors")]
    if not set(NOTES) <= meta.keys():  # it is no longer known what they are
        database.execute("DELETE FROM meta WHERE key IN (?, ?, ?, ?)", NOTES)
        return _forget_photos(database, known)
    path = folder / photo_file_name(meta["photo_vectors"], int(meta["photo_generation"]))
    whole = path.stat().st_size // (int(meta["photo_dimensions"]) * DTYPE.itemsize) if path.is_file() else 0
    dropped = _forget_photos(database, [row for row in known if not 0 <= row < whole])
    with StoreReader(folder, content=True) as store:
        bad = bad_photo_rows(store)
    return dropped + _forget_photos(database, bad)


def _forget_photos(database: sqlite3.Connection, rows: Sequence[int]) -> int:
    database.execute("BEGIN IMMEDIATE")
    database.executemany("DELETE FROM photo_vectors WHERE row = ?", [(row,) for row in rows])
    database.execute("COMMIT")
    return len(rows)


def _forget(database: sqlite3.Connection, rows: Sequence[int]) -> int:
    database.execute("BEGIN IMMEDIATE")
    for row in rows:
        database.execute("UPDATE items SET vector_row = NULL WHERE vector_row = ?", (row,))
        database.execute("DELETE FROM vectors WHERE row = ?", (row,))
    database.execute("COMMIT")
    return len(rows)
