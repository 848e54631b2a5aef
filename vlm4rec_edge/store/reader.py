"""Read a store: a consistent view of the items and a memory map of their vectors, whoever writes meanwhile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.items import Failure
from vlm4rec_edge.store.schema import DATABASE_NAME, has_its_schema, open_database, text_crc32
from vlm4rec_edge.store.vectors import map_vectors, vector_file_name

# SQLite takes at least this many parameters in one statement, in every build.
_PARAMETERS = 500


@dataclass(frozen=True)
class StoredItem:
    """An item as the store holds it; ``row`` is its place in the vector file.

    ``attributes`` are the catalog's further columns and, where those say nothing, the fields of a structured caption; a field
    that is a list is one text with commas. ``fields`` is what the caption said, as it was said; empty for a free one.
    """

    id: str
    row: int
    title: str
    caption: str
    image: str
    attributes: Mapping[str, str]
    fields: Mapping[str, str | list[str]] = field(default_factory=dict)


class StoreReader:
    """A read-only view of one moment of a store; a context manager.

    Attributes:
        vectors: Memory map, shape [rows, dimensions], float32, unit length. Several items may share a row; rows that no
            item has any more may be among them.
        vector_file: Name of the file behind ``vectors``; it changes with the encoder and with every compaction.
        meta: What the writer noted: ``encoder``, ``grounding`` (fingerprints), ``encoded_text``, ``dimensions``, ``run``.

    Raises:
        StoreError: there is no index at ``folder``, it is damaged, or it was never finished enough to hold a vector.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        path = self.folder / DATABASE_NAME
        if not path.is_file():
            raise StoreError(
                f"There is no index at {self.folder}; make one: vlm4rec-edge index CATALOG --out {self.folder}"
            )
        self._database = open_database(path, write=False)
        try:
            self._take_snapshot()
        except BaseException as error:
            self._database.close()
            if isinstance(error, sqlite3.Error):
                raise self._damaged(error) from error
            raise

    def _take_snapshot(self) -> None:
        missed = ""
        while True:
            self._database.execute("BEGIN")  # from the first read on, later writes are not seen
            self.meta = self._read_meta()
            self.vector_file = vector_file_name(self.meta.get("encoder", ""), int(self.meta.get("generation", 0)))
            rows = int(self._one("SELECT coalesce(max(row) + 1, 0) FROM vectors"))
            try:
                self.vectors = map_vectors(self.folder / self.vector_file, rows, int(self.meta.get("dimensions", 0)))
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
        return StoreError(
            f"{self.folder / DATABASE_NAME} is damaged ({reason}); run: vlm4rec-edge repair {self.folder}"
        )

    def count(self) -> int:
        """Return how many items can be recommended."""
        return int(self._one("SELECT count(*) FROM items WHERE vector_row IS NOT NULL"))

    def is_empty(self) -> bool:
        """Whether nothing can be recommended; at once, where counting a million items reads scattered pages."""
        return not self._one("SELECT EXISTS (SELECT 1 FROM items WHERE vector_row IS NOT NULL)")

    def counts(self) -> dict[str, int]:
        """Return how many items, captions, vectors and failures the store holds."""
        return {
            "items": int(self._one("SELECT count(*) FROM items")),
            "captions": int(self._one("SELECT count(*) FROM captions")),
            "vectors": int(self._one("SELECT count(*) FROM vectors")),
            "failures": int(self._one("SELECT count(*) FROM failures")),
        }

    def rows_of(self, item_ids: Iterable[str]) -> dict[str, int]:
        """Return the vector row of each id that is known; unknown ids are left out."""
        wanted = [item_id for item_id in dict.fromkeys(item_ids) if _is_unicode(item_id)]
        found: dict[str, int] = {}
        for part in _parts(wanted):
            marks = ",".join("?" * len(part))
            found.update(
                self.query(f"SELECT id, vector_row FROM items WHERE vector_row IS NOT NULL AND id IN ({marks})", part)
            )
        return {item_id: found[item_id] for item_id in wanted if item_id in found}

    def items_at(self, rows: Sequence[int]) -> dict[int, list[StoredItem]]:
        """Return the items of each vector row, ordered by id; rows without an item are left out."""
        items: dict[int, list[StoredItem]] = {}
        for part in _parts(list(rows)):
            marks = ",".join("?" * len(part))
            for item in self._items(f"WHERE items.vector_row IN ({marks}) ORDER BY items.id", part):
                items.setdefault(item.row, []).append(item)
        return items

    def item(self, item_id: str) -> StoredItem | None:
        """Return one item, or None if it is unknown."""
        return next(self._items("WHERE items.vector_row IS NOT NULL AND items.id = ?", [item_id]), None)

    def items(self) -> Iterator[StoredItem]:
        """Yield every item that can be recommended, in the order they were written."""
        return self._items("WHERE items.vector_row IS NOT NULL ORDER BY items.number", [])

    def failures(self) -> Iterator[Failure]:
        """Yield what the last run could not use."""
        for place, stage, reason in self.query("SELECT place, stage, reason FROM failures ORDER BY rowid"):
            yield Failure(place, stage, reason)

    def provenance(self, table: str) -> dict[str, Any]:
        """Return what made the captions (``groundings``) or vectors (``encoders``) of the last run; empty if nothing."""
        key = {"groundings": "grounding", "encoders": "encoder"}[table]
        rows = self.query(f"SELECT provenance FROM {table} WHERE fingerprint = ?", [self.meta.get(key, "")])
        for (text,) in rows:
            return dict(self._json(text))
        return {}

    def _items(self, condition: str, parameters: Sequence[Any]) -> Iterator[StoredItem]:
        query = f"""
            SELECT items.id, items.vector_row, items.title, coalesce(captions.text, ''), items.image, items.attributes,
                captions.fields
            FROM items LEFT JOIN captions ON captions.key = items.caption_key {condition}
        """
        for item_id, row, title, caption, image, columns, said in self.query(query, parameters):
            fields = {} if said is None else self._json(said)
            try:
                attributes = _attributes(self._json(columns), fields)
            except (TypeError, AttributeError) as error:  # damage that is JSON still, but no object of texts
                raise self._damaged(error) from error
            yield StoredItem(item_id, row, title, caption, image, attributes, fields)

    def has_its_schema(self) -> bool:
        """Whether the tables are those that this version makes.

        Raises:
            StoreError: the database is damaged where they are described.
        """
        try:
            return has_its_schema(self._database)
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the rows of a reading query.

        Raises:
            StoreError: the database is damaged where the query reads it.
        """
        try:
            yield from self._database.execute(sql, parameters)
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _json(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from error

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


def _attributes(columns: dict[str, str], fields: Mapping[str, str | list[str]]) -> dict[str, str]:
    """Return what is known of an item: the shop's own columns, and what the caption says where they are silent."""
    said = {name: ", ".join(value) if isinstance(value, list) else value for name, value in fields.items()}
    return columns | {name: text for name, text in said.items() if text and not columns.get(name)}


def _is_unicode(text: str) -> bool:
    """Whether a text can be in a database at all: an argument of a program may hold bytes that are no UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _PARAMETERS):
        yield values[start : start + _PARAMETERS]
