"""Make an index whole again: what is derived is made anew, what is damaged is dropped so that `index` makes it again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.encoding.text import check_encoded_text, text_of_item
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.index import refresh
from vlm4rec_edge.provenance import is_provenance
from vlm4rec_edge.store.lock import WriterLock
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.salvage import keep_groundings_of_captions, salvage_if_needed
from vlm4rec_edge.store.schema import DATABASE_NAME, caption_crc32, open_database, text_crc32
from vlm4rec_edge.store.vectors import DTYPE, vector_file_name
from vlm4rec_edge.store.writer import StoreWriter
from vlm4rec_edge.verify import bad_vector_rows, items_of_other_texts

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.encoder import Encoder

_ENCODE_TEXTS = 256


@dataclass(frozen=True)
class RepairReport:
    """What was done, and by ``needs_index`` whether the catalog must be indexed again to make what was dropped.

    ``lost_notes``: it is no longer known what made the vectors, so all of them were dropped.
    """

    salvaged_database: bool
    dropped_items: int
    dropped_captions: int
    dropped_vectors: int
    encoded: int
    lost_notes: bool = False

    @property
    def needs_index(self) -> bool:
        """Whether something was dropped that only the catalog, or its captions, can bring back."""
        return bool(self.salvaged_database or self.dropped_items or self.dropped_captions or self.lost_notes)


def repair_index(folder: Path | str, *, encoder: Encoder | None = None) -> RepairReport:
    """Repair an index in place.

    A database that SQLite can not read is salvaged row by row, and the damaged file kept beside it. Captions and items
    that are not what was written are dropped. Vectors are encoded again from the captions, the HNSW graph is rebuilt.

    Args:
        folder: The index.
        encoder: The one that made it; default: found by the name noted in the index.

    Raises:
        StoreError: there is no index, nothing of it can be read, or another process is writing it.
        ModelError: the encoder is not on this machine.
    """
    folder = Path(folder)
    if not (folder / DATABASE_NAME).is_file():
        raise StoreError(f"There is no index at {folder}.")
    lock = WriterLock(folder)
    try:
        salvaged = salvage_if_needed(folder)
        unknown_vectors = _drop_damaged_notes(folder)
        captions, items = _drop_damaged_texts(folder)
        vectors = _drop_damaged_vectors(folder) if unknown_vectors is None else unknown_vectors
    finally:
        lock.release()
    encoded = _encode_again(folder, encoder, rewrite=vectors > 0) if unknown_vectors is None else 0
    lock = WriterLock(folder)
    try:
        with StoreReader(folder) as store:
            refresh(store, anew=True)
    finally:
        lock.release()
    return RepairReport(salvaged, items, captions, vectors, encoded, lost_notes=unknown_vectors is not None)


def _drop_damaged_notes(folder: Path) -> int | None:
    """Drop notes and provenance that are not what was written; return None if it is still known what the vectors are.

    If not, the items lose their vectors, and the next `index` encodes them from the captions it finds; return how many
    vectors that were.
    """
    dropped = None
    with closing(open_database(folder / DATABASE_NAME, write=True)) as database:
        database.execute("BEGIN IMMEDIATE")
        for key in _mismatches(database, "SELECT key, value, crc32 FROM meta"):
            database.execute("DELETE FROM meta WHERE key = ?", (key,))
        for table in ("groundings", "encoders"):
            for key, text in database.execute(f"SELECT fingerprint, provenance FROM {table}").fetchall():
                if not is_provenance(key, text):  # kept for the captions that point to it; `index` writes it again
                    database.execute(f"UPDATE {table} SET provenance = '{{}}' WHERE fingerprint = ?", (key,))
        keep_groundings_of_captions(database)
        notes = {key for (key,) in database.execute("SELECT key FROM meta")}
        known = {"encoder", "dimensions", "generation", "encoded_text", "golden"} <= notes
        if not known:
            database.execute("DELETE FROM meta WHERE key = 'encoder'")
            database.execute("UPDATE items SET vector_row = NULL")
            dropped = database.execute("DELETE FROM vectors").rowcount
        database.execute("COMMIT")
    return dropped


def _drop_damaged_texts(folder: Path) -> tuple[int, int]:
    """Drop captions and items that differ from their checksum; return how many of each."""
    with closing(open_database(folder / DATABASE_NAME, write=True)) as database:
        said = database.execute("SELECT key, image_sha256, question, text, fields, crc32 FROM captions")
        captions = [row[0] for row in said if caption_crc32(*row[:5]) != row[5]]
        items = _mismatches(
            database, "SELECT id, image, image_sha256, title, attributes, caption_key, crc32 FROM items"
        )
        database.execute("BEGIN IMMEDIATE")
        for item_id in items:
            database.execute("DELETE FROM items WHERE id = ?", (item_id,))
        for key in captions:
            # An item without its caption would be encoded as nothing; the next `index` makes both again.
            database.execute("DELETE FROM items WHERE caption_key = ?", (key,))
            database.execute("DELETE FROM captions WHERE key = ?", (key,))
        # The same for a caption whose key itself was damaged: its item still names the right one.
        widowed = database.execute(
            "DELETE FROM items WHERE caption_key IS NOT NULL AND caption_key NOT IN (SELECT key FROM captions)"
        ).rowcount
        database.execute("COMMIT")
    return len(captions), len(items) + widowed


def _mismatches(database: sqlite3.Connection, query: str) -> list[Any]:
    return [row[0] for row in database.execute(query) if text_crc32(*row[:-1]) != row[-1]]


def _drop_damaged_vectors(folder: Path) -> int:
    """Forget the vectors that are missing or not what was written; return how many."""
    with closing(open_database(folder / DATABASE_NAME, write=True)) as database:
        meta = dict(database.execute("SELECT key, value FROM meta"))
        width = int(meta["dimensions"]) * DTYPE.itemsize
        path = folder / vector_file_name(meta["encoder"], int(meta["generation"]))
        whole = path.stat().st_size // width if path.is_file() else 0
        dropped = _forget(
            database, [row for (row,) in database.execute("SELECT row FROM vectors WHERE row >= ?", (whole,))]
        )
        with StoreReader(folder) as store:
            bad = bad_vector_rows(store)
            misled = items_of_other_texts(store)
        dropped += _forget(database, bad)
        database.execute("BEGIN IMMEDIATE")
        for item_id in misled:
            database.execute("UPDATE items SET vector_row = NULL WHERE id = ?", (item_id,))
        database.execute("COMMIT")
    return dropped


def _forget(database: sqlite3.Connection, rows: Sequence[int]) -> int:
    database.execute("BEGIN IMMEDIATE")
    for row in rows:
        database.execute("UPDATE items SET vector_row = NULL WHERE vector_row = ?", (row,))
        database.execute("DELETE FROM vectors WHERE row = ?", (row,))
    database.execute("COMMIT")
    return len(rows)


def _encode_again(folder: Path, encoder: Encoder | None, *, rewrite: bool) -> int:
    """Encode the items that have no vector; ``rewrite`` the vector file first, if rows of it were forgotten.

    Into a new file, because a reader may still have the old one open. The writer notes anew what encodes, if that was lost.
    """
    with StoreReader(folder) as store:
        kind = check_encoded_text(store.meta["encoded_text"])
        made_by = store.provenance("encoders")
        count, highest = next(store.query("SELECT count(*), coalesce(max(row) + 1, 0) FROM vectors"))
        rewrite = rewrite or count != highest
        pending = [
            (item_id, text_of_item(kind, title=title, caption=caption))
            for item_id, title, caption in store.query(
                "SELECT items.id, items.title, coalesce(captions.text, '') FROM items "
                "LEFT JOIN captions ON captions.key = items.caption_key WHERE items.vector_row IS NULL"
            )
        ]
        if made_by and not pending and not rewrite:
            return 0
        same_encoder = store.meta["encoder"]
    from vlm4rec_edge.encoding.encoder import Encoder
    from vlm4rec_edge.models.resolve import DEFAULT_ENCODER, resolve_encoder

    with (
        nullcontext(encoder)
        if encoder
        else Encoder(resolve_encoder(made_by.get("name") or DEFAULT_ENCODER), device="cpu") as text_encoder
    ):
        if text_encoder.fingerprint != same_encoder:
            raise StoreError(
                f"{folder} was made by another encoder than {text_encoder.files.name}; give it with --encoder."
            )
        with StoreWriter(folder, grounding=None, encoder=text_encoder, encoded_text=kind) as writer:
            if rewrite:
                writer.compact(force=True)
            for start in range(0, len(pending), _ENCODE_TEXTS):
                writer.write_vectors(dict(pending[start : start + _ENCODE_TEXTS]))
    return len(pending)
