"""Items ready to be stored, and how they become rows of captions, items and photos."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vlm4rec_edge.addresses import address_of
from vlm4rec_edge.encoding.text import EncodedText, text_of_photos
from vlm4rec_edge.items import Item
from vlm4rec_edge.store.schema import caption_crc32, photo_crc32, text_crc32


@dataclass(frozen=True)
class GroundedPhoto:
    """A photo with its caption: its path, the hash of its bytes, and as of ``GroundedItem`` what belongs to a caption.

    ``vector`` is the photo's own, [dimensions], float32, of length 1; None where none was asked for or the store has it.
    """

    image: Path
    image_sha256: str
    caption_key: str | None
    question: str
    caption: str
    fields: str | None = None
    vector: np.ndarray | None = field(default=None, compare=False)


@dataclass(frozen=True)
class GroundedItem:
    """An item ready to be stored: its photo's hash, its caption with the caption's key, and the text to encode.

    These are of its first photo; ``more`` are its further ones, and ``text`` is made of all.
    ``caption_key`` is None for items that are encoded by their title alone. ``fields`` is the JSON object of a structured
    caption, and None where the caption is a free one or is in the store already. ``vector`` is that of ``GroundedPhoto``.
    """

    item: Item
    image_sha256: str
    caption_key: str | None
    question: str
    caption: str
    text: str
    fields: str | None = None
    more: tuple[GroundedPhoto, ...] = ()
    vector: np.ndarray | None = field(default=None, compare=False)

    @property
    def photos(self) -> tuple[GroundedPhoto, ...]:
        """All its photos, the first one first."""
        own = self.image_sha256, self.caption_key, self.question, self.caption, self.fields, self.vector
        return (GroundedPhoto(self.item.image, *own), *self.more)


def grounded_item(item: Item, photos: Sequence[GroundedPhoto], kind: EncodedText) -> GroundedItem:
    """Return an item of these photos, with the text of the ``kind`` that is encoded of it; ``item`` brings the rest."""
    first, *more = photos
    captions = [photo.caption for photo in photos] if first.caption_key else ()
    text = text_of_photos(kind, title=item.title, captions=captions)
    shown = replace(item, image=first.image, more_photos=tuple(photo.image for photo in more))
    said = first.image_sha256, first.caption_key, first.question, first.caption
    return GroundedItem(shown, *said, text, first.fields, tuple(more), first.vector)


def write_caption(database: sqlite3.Connection, photo: GroundedPhoto, captions_by: str) -> int:
    """Store the caption of a photo, made by ``captions_by`` (a fingerprint), and return how many are new: 1 or 0."""
    if photo.caption_key is None:
        return 0
    said = photo.question, photo.caption
    checksum = caption_crc32(photo.caption_key, photo.image_sha256, *said, photo.fields)
    added = database.execute(
        "INSERT OR IGNORE INTO captions VALUES (?, ?, ?, ?, ?, ?, ?)",
        (photo.caption_key, photo.image_sha256, captions_by, *said, checksum, photo.fields),
    ).rowcount
    return max(added, 0)


def write_item(
    database: sqlite3.Connection,
    entry: GroundedItem,
    row: int | None,
    run: int,
    *,
    columns_count: bool = False,
    photos_count: bool = False,
) -> None:
    """Store an item with all its photos, or replace it; ``row`` is that of its vector, None where it waits for one.

    Its mixed vector is to be made anew where its vector is another, or its columns are while ``columns_count``, or its photos
    while ``photos_count``.
    """
    item = entry.item
    image = _path(item.image)
    attributes = json.dumps(dict(item.attributes), ensure_ascii=False)
    cells = item.id, image, entry.image_sha256, item.title, attributes, entry.caption_key
    checksum = text_crc32(*cells)
    is_other = photos_count and _photos_of(database, item.id) != [photo.image_sha256 for photo in entry.photos]
    database.execute(
        """
        INSERT INTO items (id, image, image_sha256, title, attributes, caption_key, vector_row, seen_run, crc32)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET image = excluded.image, image_sha256 = excluded.image_sha256,
            title = excluded.title, attributes = excluded.attributes, caption_key = excluded.caption_key,
            learned_row = CASE WHEN NOT ? AND vector_row IS excluded.vector_row
                AND (NOT ? OR attributes IS excluded.attributes) THEN learned_row END,
            vector_row = excluded.vector_row, seen_run = excluded.seen_run, crc32 = excluded.crc32
        """,
        (*cells, row, run, checksum, is_other, columns_count),
    )
    database.execute("DELETE FROM photos WHERE item = ?", (item.id,))
    for place, photo in enumerate(entry.more, start=2):
        said = _path(photo.image), photo.image_sha256, photo.caption_key
        database.execute(
            "INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?)",
            (item.id, place, *said, photo_crc32(item.id, place, *said)),
        )


def _photos_of(database: sqlite3.Connection, item_id: str) -> list[str]:
    """Return the hashes of the photos that the store has of an item."""
    own = "SELECT 1 AS place, image_sha256 FROM items WHERE id = ?1"
    further = "SELECT place, image_sha256 FROM photos WHERE item = ?1"
    return [sha256 for _, sha256 in database.execute(f"{own} UNION ALL {further} ORDER BY place", (item_id,))]


def _path(image: Path) -> str:
    return address_of(image) or os.fsencode(image.absolute()).decode("utf-8", "replace")
