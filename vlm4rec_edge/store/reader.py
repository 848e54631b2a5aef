"""Read a store: a consistent view of the items and a memory map of their vectors, whoever writes meanwhile."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from vlm4rec_edge.columns import Column, ItemTable, coded
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import Failure, Item, StoredItem, StoredPhoto
from vlm4rec_edge.mixture import Layout
from vlm4rec_edge.store.schema import (
    DATABASE_NAME,
    EmptyIndexError,
    has_its_schema,
    is_unicode,
    open_database,
    text_crc32,
)
from vlm4rec_edge.store.trouble import damaged, explained
from vlm4rec_edge.store.vectors import map_vectors, vector_file_name

# SQLite takes at least this many parameters in one statement, in every build.
_PARAMETERS = 500
# Items with the caption of their first photo, and those of their further photos: as many rows as photos, or one.
_ITEMS = "FROM items LEFT JOIN captions ON captions.key = items.caption_key"
_FURTHER = """
    LEFT JOIN photos ON photos.item = items.id LEFT JOIN captions AS further ON further.key = photos.caption_key
"""
# Rows of a result that are fetched at once.
_FETCHED_ROWS = 256
# SQLite maps no more than it was built for, 2 GB as a rule, and reads the rest (sqlite.org/mmap.html).
_MAPPED_BYTES = 2**40


class MadePhoto(NamedTuple):
    """What was made of a photo: the hash of its bytes, its caption with the caption's key."""

    image_sha256: str
    caption_key: str | None
    caption: str


@dataclass(frozen=True)
class MadeItem:
    """An item as the catalog gave it, and what was made of each of its photos."""

    item: Item
    photos: tuple[MadePhoto, ...]


def read_if_begun(folder: Path) -> StoreReader | None:
    """Open the store at ``folder``, or return None if there is none that a run has begun to fill.

    Raises:
        StoreError: it is damaged.
    """
    try:
        store = StoreReader(folder) if (folder / DATABASE_NAME).is_file() else None
    except (EmptyIndexError, OSError):  # a folder that cannot be looked into: whoever writes it says so
        return None
    if store is None:
        return None
    if "run" in store.meta:
        return store
    store.close()
    return None


class StoreReader:
    """A read-only view of one moment of a store; a context manager. Several threads may read through it.

    Attributes:
        vectors: Memory map, shape [rows, dimensions], float32, unit length. Several items may share a row; rows that no
            item has any more may be among them.
        vector_file: Name of the file behind ``vectors``; it changes with the encoder and with every compaction.
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
        self._table_lock = threading.Lock()
        self._table: ItemTable | None = None
        try:
            self._map_database(self._mapped_bytes)
            self._take_snapshot()
        except BaseException as error:
            self._database.close()
            if isinstance(error, sqlite3.Error):
                raise explained(error, path) from error
            raise

    def _map_database(self, limit: int) -> None:
        with self._lock:
            self._database.execute(f"PRAGMA mmap_size = {limit}")

    def _take_snapshot(self) -> None:
        missed = ""
        while True:
            self._database.execute("BEGIN")  # from the first read on, later writes are not seen
            self.meta = self._read_meta()
            self.layout = None if self._only_content else layout_of(self.meta)
            if self.layout is not None:
                self._row, self.space = "learned_row", self.meta["learned"]
                generation, dimensions = int(self.meta["learned_generation"]), self.layout.dimensions
                rows = int(self.meta["learned_rows"])
            else:
                self._row, self.space = "vector_row", self.meta.get("encoder", "")
                generation, dimensions = int(self.meta.get("generation", 0)), int(self.meta.get("dimensions", 0))
                rows = int(self._one("SELECT coalesce(max(row) + 1, 0) FROM vectors"))
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
                raise self._damaged(f"its note {key!r} is not what was written")
            meta[str(key)] = str(value)
        return meta

    def _damaged(self, reason: object) -> StoreError:
        return damaged(self.folder / DATABASE_NAME, reason)

    def count(self) -> int:
        """Return how many items can be recommended."""
        return int(self._one(f"SELECT count(*) FROM items WHERE {self._row} IS NOT NULL"))

    def count_without_title(self) -> int:
        """Return how many of them have no title."""
        return int(self._one(f"SELECT count(*) FROM items WHERE {self._row} IS NOT NULL AND trim(title) = ''"))

    def is_empty(self) -> bool:
        """Whether nothing can be recommended; at once, where counting a million items reads scattered pages."""
        return not self._one(f"SELECT EXISTS (SELECT 1 FROM items WHERE {self._row} IS NOT NULL)")

    def counts(self) -> dict[str, int]:
        """Return how many items, captions, vectors, failures and photos the store holds."""
        return {
            "items": int(self._one("SELECT count(*) FROM items")),
            "captions": int(self._one("SELECT count(*) FROM captions")),
            "vectors": int(self._one("SELECT count(*) FROM vectors")),
            "failures": int(self._one("SELECT count(*) FROM failures")),
            "photos": int(self._one("SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM photos)")),
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
                self.query(f"SELECT id, {self._row} FROM items WHERE {self._row} IS NOT NULL AND id IN ({marks})", part)
            )
        return {item_id: found[item_id] for item_id in wanted if item_id in found}

    @property
    def learned(self) -> dict[str, Any]:
        """What is told of what was learned from purchases; empty if nothing was."""
        return self._object(self.meta.get("learned_facts", "{}"))

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
            raise self._damaged(error) from error
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.rows:
            raise self._damaged("an item has a vector that is not there")
        return np.asarray(np.asarray(self.vectors)[wanted])

    def ids_at(self, rows: Sequence[int]) -> dict[int, list[str]]:
        """Return the ids of the items of each vector row, ordered; rows without an item are left out."""
        ids: dict[int, list[str]] = {}
        for part in _parts(list(rows)):
            marks = ",".join("?" * len(part))
            query = f"SELECT {self._row}, id FROM items WHERE {self._row} IN ({marks}) ORDER BY id"
            for row, item_id in self.query(query, part):
                ids.setdefault(row, []).append(item_id)
        return ids

    def items_of(self, item_ids: Sequence[str]) -> dict[str, StoredItem]:
        """Return the items of those ids that are known."""
        items: dict[str, StoredItem] = {}
        for part in _parts([item_id for item_id in item_ids if is_unicode(item_id)]):
            marks = ",".join("?" * len(part))
            condition = f"items.{self._row} IS NOT NULL AND items.id IN ({marks})"
            items.update((item.id, item) for item in self._items(condition, "items.id", part))
        return items

    def last_number(self) -> int:
        """Return the number of the item that came last."""
        return int(self._one("SELECT coalesce(max(number), 0) FROM items"))

    def item(self, item_id: str) -> StoredItem | None:
        """Return one item, or None if it is unknown."""
        return self.items_of([item_id]).get(item_id)

    def ids(self) -> Iterator[str]:
        """Yield the id of every item that can be recommended, in the order they were written."""
        for (item_id,) in self.query(f"SELECT id FROM items WHERE {self._row} IS NOT NULL ORDER BY number"):
            yield item_id

    def items(self) -> Iterator[StoredItem]:
        """Yield every item that can be recommended, in the order they were written."""
        return self._items(f"items.{self._row} IS NOT NULL", "items.number")

    def made_items(self) -> Iterator[MadeItem]:
        """Yield every item, also one that waits for its vector, in the order they were written."""
        found = self._with_photos(
            "items.id, items.title, items.image, items.attributes, items.image_sha256, items.caption_key, "
            "coalesce(captions.text, '')",
            ("photos.image", "photos.image_sha256", "photos.caption_key", "coalesce(further.text, '')"),
            "TRUE",
            "items.number",
        )
        for (item_id, title, image, cells), rows in groupby(found, key=itemgetter(0, 1, 2, 3)):
            own = list(rows)
            further = [row[7:] for row in own if row[7] is not None]
            item = Item(item_id, Path(image), title, self._object(cells), tuple(Path(row[0]) for row in further))
            yield MadeItem(item, (MadePhoto(*own[0][4:7]), *(MadePhoto(*row[1:]) for row in further)))

    def caption(self, key: str) -> str | None:
        """Return a caption by its key, whether or not an item has it now."""
        return next((str(text) for (text,) in self.query("SELECT text FROM captions WHERE key = ?", [key])), None)

    def has_vector(self, text: str) -> bool:
        """Whether a text has a vector of the encoder that made the others."""
        sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
        return any(True for _ in self.query("SELECT 1 FROM vectors WHERE text_sha256 = ?", [sha256]))

    def table(self) -> ItemTable:
        """Return all items as columns; read when first asked for, and kept."""
        with self._table_lock:
            if self._table is None:
                self._map_database(0)  # of a whole database, read through once, no page need stay
                try:
                    self._table = self._read_table()
                finally:
                    self._map_database(self._mapped_bytes)
            return self._table

    def _read_table(self) -> ItemTable:
        rows: list[int] = []
        ids: list[str] = []
        titles: list[str] = []
        captions: list[str] = []
        words: list[tuple[str, ...]] = []
        # Many items of a shop say the same of themselves, and a text read twice is one text here.
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        for item_id, row, title, caption, cells, said, more, fields in self._with_photos(
            f"items.id, items.{self._row}, items.title, coalesce(captions.text, ''), items.attributes, captions.fields",
            ("further.text", "further.fields"),
            f"items.{self._row} IS NOT NULL",
            f"items.{self._row}, items.id",
        ):
            if not ids or item_id != ids[-1]:
                rows.append(row)
                ids.append(item_id)
                titles.append(title)
                captions.append(caption)
                own = (cells,) if said is None else (cells, said)
                words.append(known.setdefault(own, own))
                told = {caption}
            if more is not None and more not in told:
                told.add(more)
                captions[-1] = f"{captions[-1]} {more}".lstrip()
            if fields is not None:
                words[-1] += (fields,)
        told_of = {own: self._said(*own)[0] for own in dict.fromkeys(words)}
        attributes = [told_of[own] for own in words]
        names = dict.fromkeys(name for cells in told_of.values() for name in cells)
        columns: dict[str, Column] = {
            name: coded(cells.get(name, "") for cells in attributes)
            for name in names
            if name not in ("title", "caption")
        }
        columns = {"title": coded(titles), "caption": coded(captions), **columns}
        return ItemTable(np.array(rows, dtype=np.int64), ids, columns)

    def failures(self) -> Iterator[Failure]:
        """Yield what the last run could not use."""
        for place, stage, reason in self.query("SELECT place, stage, reason FROM failures ORDER BY rowid"):
            yield Failure(place, stage, reason)

    def provenance(self, table: str) -> dict[str, Any]:
        """Return what made the captions (``groundings``) or vectors (``encoders``) of the last run; empty if nothing."""
        key = {"groundings": "grounding", "encoders": "encoder"}[table]
        rows = self.query(f"SELECT provenance FROM {table} WHERE fingerprint = ?", [self.meta.get(key, "")])
        for (text,) in rows:
            return self._object(text)
        return {}

    def encoder_files(self) -> None:
        """Return nothing: an index notes which encoder made it, and carries none."""

    @property
    def lvlm_folder(self) -> None:
        """Nothing, for the same reason."""

    @cached_property
    def _has_further_photos(self) -> bool:
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM photos)"))

    def _with_photos(
        self, columns: str, further: Sequence[str], condition: str, order: str, parameters: Sequence[Any] = ()
    ) -> Iterator[Any]:
        """Yield a row for each further photo of an item, one for an item without any, with None in place of ``further``.

        Where no item has further photos, looking for them would take as long as all the rest.
        """
        if self._has_further_photos:
            return self.query(
                f"SELECT {columns}, {', '.join(further)} {_ITEMS} {_FURTHER} WHERE {condition} ORDER BY {order}, photos.place",
                parameters,
            )
        return self.query(
            f"SELECT {columns}{', NULL' * len(further)} {_ITEMS} WHERE {condition} ORDER BY {order}", parameters
        )

    def _items(self, condition: str, order: str, parameters: Sequence[Any] = ()) -> Iterator[StoredItem]:
        found = self._with_photos(
            f"items.id, items.{self._row}, items.title, coalesce(captions.text, ''), items.image, items.attributes, "
            "captions.fields",
            ("photos.image", "coalesce(further.text, '')", "further.fields"),
            condition,
            order,
            parameters,
        )
        own: list[Any] = []
        for row in found:
            if own and row[0] != own[0][0]:
                yield self._of_several(own)
                own = []
            if row[7] is None:
                item_id, number, title, caption, image, columns, said, *_ = row
                attributes, fields = self._said(columns, *(() if said is None else (said,)))
                yield StoredItem(item_id, number, title, caption, image, attributes, fields)
            else:
                own.append(row)
        if own:
            yield self._of_several(own)

    def _of_several(self, rows: list[Any]) -> StoredItem:
        """Return an item of several photos, of the rows for its further ones."""
        item_id, row, title, first, image, columns, said, *_ = rows[0]
        photos = [(image, first, said), *(row[7:] for row in rows)]
        caption = " ".join(dict.fromkeys(text for _, text, _ in photos if text))
        words = [fields for _, _, fields in photos if fields is not None]
        shown = tuple(self._photo(*photo) for photo in photos)
        return StoredItem(item_id, row, title, caption, image, *self._said(columns, *words), shown)

    def _photo(self, image: str, caption: str, said: str | None) -> StoredPhoto:
        return StoredPhoto(image, caption, {} if said is None else self._object(said))

    def _said(self, columns: str, *said: str) -> tuple[dict[str, str], dict[str, str | list[str]]]:
        """Return the attributes of an item, and the fields of its captions; of several the first that fills one counts."""
        if not said:
            return self._object(columns), {}
        fields: dict[str, str | list[str]] = {}
        for text in said:
            own = self._object(text)
            fields |= {name: value for name, value in own.items() if value or name not in fields} | {
                name: value for name, value in fields.items() if value
            }
        try:
            return _attributes(self._object(columns), fields), fields
        except TypeError as error:  # damage that is a JSON object still, but not of texts
            raise self._damaged(error) from error

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

    def _object(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from error
        if not isinstance(found, dict):
            raise self._damaged("what should be a JSON object is none")
        return found

    def _one(self, query: str) -> Any:
        return next(self.query(query))[0]

    def close(self) -> None:
        """Let go of the database and the memory map."""
        self.vectors = np.zeros((0, 0), dtype=np.float32)
        self._database.close()

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def layout_of(meta: Mapping[str, str]) -> Layout | None:
    """Return where the parts of mixed vectors lie, or None if nothing was learned from purchases."""
    return Layout(int(meta["dimensions"]), int(meta["learned_factors"])) if meta.get("learned") else None


def _attributes(columns: dict[str, str], fields: Mapping[str, str | list[str]]) -> dict[str, str]:
    """Return what is known of an item: the shop's own columns, and what the caption says where they are silent."""
    said = {name: ", ".join(value) if isinstance(value, list) else value for name, value in fields.items()}
    return columns | {name: text for name, text in said.items() if text and not columns.get(name)}


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _PARAMETERS):
        yield values[start : start + _PARAMETERS]
