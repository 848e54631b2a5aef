"""Read a store: what is asked of its items, captions and vectors."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.columns import ItemTable
from vlm4rec_edge.items import Failure, StoredItem
from vlm4rec_edge.store.photo_vectors import ItemPhotos, photo_file_name, photos_of_items
from vlm4rec_edge.store.schema import DATABASE_NAME, EmptyIndexError, is_unicode
from vlm4rec_edge.store.snapshot import StoreSnapshot
from vlm4rec_edge.store.stored_items import stored_items
from vlm4rec_edge.store.table import read_table
from vlm4rec_edge.store.vectors import map_vectors

# SQLite takes at least this many parameters in one statement, in every build.
_PARAMETERS = 500


def read_if_begun(folder: Path) -> StoreReader | None:
    """Open the store at ``folder``, or return None if there is none that a run has begun to fill.

    Raises:
        StoreError: it is damaged.
    """
    try:
        store = StoreReader(folder) if (folder / DATABASE_NAME).is_file() else None
    except (EmptyIndexError, OSError):  # a folder that cannot be looked into: writing to it says so
        return None
    if store is None:
        return None
    if "run" in store.meta:
        return store
    store.close()
    return None


class StoreReader(StoreSnapshot):
    """One moment of a store, and the questions that are asked of it; arguments, attributes and errors as ``StoreSnapshot``."""

    def __init__(self, folder: Path | str, *, mapped: bool = False, content: bool = False) -> None:
        super().__init__(folder, mapped=mapped, content=content)
        self._table_lock = threading.Lock()
        self._table: ItemTable | None = None

    def count(self) -> int:
        """Return how many items can be recommended."""
        return int(self.one(f"SELECT count(*) FROM items WHERE {self.row_column} IS NOT NULL"))

    def count_without_title(self) -> int:
        """Return how many of them have no title."""
        return int(self.one(f"SELECT count(*) FROM items WHERE {self.row_column} IS NOT NULL AND trim(title) = ''"))

    def is_empty(self) -> bool:
        """Whether nothing can be recommended; at once, where counting a million items reads scattered pages."""
        return not self.one(f"SELECT EXISTS (SELECT 1 FROM items WHERE {self.row_column} IS NOT NULL)")

    def counts(self) -> dict[str, int]:
        """Return how many items, photos, failures, captions, vectors and photo vectors the store holds."""
        return {
            **self._counts_of_items(),
            "captions": int(self.one("SELECT count(*) FROM captions")),
            "vectors": int(self.one("SELECT count(*) FROM vectors")),
            "photo_vectors": int(self.one("SELECT count(*) FROM photo_vectors")),
        }

    def counts_in_use(self) -> dict[str, int]:
        """Return the same of what items have; more captions and vectors are kept, for items that come back."""
        photos_alone = "NOT EXISTS (SELECT 1 FROM items WHERE items.caption_key = photos.caption_key)"
        of_items = "SELECT 1 FROM items WHERE items.image_sha256 = photo_vectors.image_sha256"
        of_photos = "SELECT 1 FROM photos WHERE photos.image_sha256 = photo_vectors.image_sha256"
        return {
            **self._counts_of_items(),
            "captions": int(
                self.one(
                    "SELECT (SELECT count(DISTINCT caption_key) FROM items) + "
                    f"(SELECT count(DISTINCT caption_key) FROM photos WHERE {photos_alone})"
                )
            ),
            "vectors": int(self.one("SELECT count(DISTINCT vector_row) FROM items")),
            "photo_vectors": int(
                self.one(f"SELECT count(*) FROM photo_vectors WHERE EXISTS ({of_items}) OR EXISTS ({of_photos})")
            ),
        }

    def count_failures(self) -> int:
        """Return how many things the last run could not use."""
        return int(self.one("SELECT count(*) FROM failures"))

    def _counts_of_items(self) -> dict[str, int]:
        return {
            "items": int(self.one("SELECT count(*) FROM items")),
            "photos": int(self.one("SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM photos)")),
            "failures": self.count_failures(),
        }

    def has_gaps(self) -> bool:
        """Whether rows of the vector file, before its last one, are no vector of the store."""
        count, end = next(self.query("SELECT count(*), coalesce(max(row) + 1, 0) FROM vectors"))
        return bool(count != end)

    def rows_of(self, item_ids: Iterable[str]) -> dict[str, int]:
        """Return the vector row of each id that is known; unknown ids are left out."""
        wanted = [item_id for item_id in dict.fromkeys(item_ids) if is_unicode(item_id)]
        found: dict[str, int] = {}
        for part in _parts(wanted):
            marks = ",".join("?" * len(part))
            found.update(
                self.query(
                    f"SELECT id, {self.row_column} FROM items WHERE {self.row_column} IS NOT NULL AND id IN ({marks})",
                    part,
                )
            )
        return {item_id: found[item_id] for item_id in wanted if item_id in found}

    @property
    def representation(self) -> str:
        """By what items are compared."""
        return "words" if self.layout is None else "learned"

    @property
    def learned(self) -> dict[str, Any]:
        """Facts about what was learned from purchases; empty if nothing was."""
        return self.json_object(self.meta.get("learned_facts", "{}"))

    def ids_at(self, rows: Sequence[int]) -> dict[int, list[str]]:
        """Return the ids of the items of each vector row, ordered; rows without an item are left out."""
        ids: dict[int, list[str]] = {}
        for part in _parts(list(rows)):
            marks = ",".join("?" * len(part))
            query = f"SELECT {self.row_column}, id FROM items WHERE {self.row_column} IN ({marks}) ORDER BY id"
            for row, item_id in self.query(query, part):
                ids.setdefault(row, []).append(item_id)
        return ids

    def items_of(self, item_ids: Sequence[str]) -> dict[str, StoredItem]:
        """Return the items of those ids that are known."""
        items: dict[str, StoredItem] = {}
        for part in _parts([item_id for item_id in item_ids if is_unicode(item_id)]):
            marks = ",".join("?" * len(part))
            condition = f"items.{self.row_column} IS NOT NULL AND items.id IN ({marks})"
            items.update((item.id, item) for item in stored_items(self, condition, "items.id", part))
        return items

    def last_number(self) -> int:
        """Return the number of the item that came last."""
        return int(self.one("SELECT coalesce(max(number), 0) FROM items"))

    def ids(self) -> Iterator[str]:
        """Yield the id of every item that can be recommended, in the order they were written."""
        for (item_id,) in self.query(f"SELECT id FROM items WHERE {self.row_column} IS NOT NULL ORDER BY number"):
            yield item_id

    def items(self) -> Iterator[StoredItem]:
        """Yield every item that can be recommended, in the order they were written."""
        return stored_items(self, f"items.{self.row_column} IS NOT NULL", "items.number")

    def caption(self, key: str) -> str | None:
        """Return a caption by its key, whether or not an item has it now."""
        return next((str(text) for (text,) in self.query("SELECT text FROM captions WHERE key = ?", [key])), None)

    @property
    def keeps_photo_vectors(self) -> bool:
        """Whether photos have vectors of their own."""
        return "photo_vectors" in self.meta

    @property
    def photo_vector_file(self) -> str:
        """Name of the file of the photos' own vectors."""
        return photo_file_name(self.meta.get("photo_vectors", ""), int(self.meta.get("photo_generation", 0)))

    def photo_vectors(self) -> np.ndarray:
        """Return the photos' own vectors as a memory map, [rows, dimensions], float32.

        Raises:
            StoreError: their file is missing or too short.
        """
        rows = int(self.one("SELECT coalesce(max(row) + 1, 0) FROM photo_vectors"))
        dimensions = int(self.meta.get("photo_dimensions", 0))
        return map_vectors(self.folder / self.photo_vector_file, rows, dimensions)

    def photos_of(self, ids: Sequence[str]) -> ItemPhotos:
        """Return the photo vectors of items.

        Raises:
            StoreError: as ``photo_vectors``.
        """
        return photos_of_items(ids, self.query, self.photo_vectors())

    def has_vector(self, text: str) -> bool:
        """Whether a text has a vector of the encoder that made the others."""
        sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
        return any(True for _ in self.query("SELECT 1 FROM vectors WHERE text_sha256 = ?", [sha256]))

    def table(self) -> ItemTable:
        """Return all items as columns; read when first asked for, and kept."""
        with self._table_lock:
            if self._table is None:
                with self.unmapped():
                    self._table = self._read_table()
            return self._table

    def _read_table(self) -> ItemTable:
        return read_table(self)

    def thumbnail(self, item_id: str) -> None:
        """Return nothing: an index notes where the photos are, and keeps no pictures of them."""

    def failures(self) -> Iterator[Failure]:
        """Yield what the last run could not use."""
        for place, stage, reason in self.query("SELECT place, stage, reason FROM failures ORDER BY rowid"):
            yield Failure(place, stage, reason)

    def provenance(self, table: str) -> dict[str, Any]:
        """Return what made the captions (``groundings``) or vectors (``encoders``) of the last run; empty if nothing."""
        key = {"groundings": "grounding", "encoders": "encoder"}[table]
        rows = self.query(f"SELECT provenance FROM {table} WHERE fingerprint = ?", [self.meta.get(key, "")])
        for (text,) in rows:
            return self.json_object(text)
        return {}

    def encoder_files(self) -> None:
        """Return nothing: an index notes which encoder made it, and carries none."""

    @property
    def lvlm_folder(self) -> None:
        """Nothing, for the same reason."""


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _PARAMETERS):
        yield values[start : start + _PARAMETERS]
