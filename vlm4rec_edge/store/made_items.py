"""What was made of each item of a store: to compare it with what would be made now, and to take it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vlm4rec_edge.encoding.text import EncodedText
from vlm4rec_edge.items import Item
from vlm4rec_edge.store.grounded import GroundedItem, GroundedPhoto, grounded_item
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.snapshot import StoreSnapshot
from vlm4rec_edge.store.stored_items import with_photos


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


def made_items(snapshot: StoreSnapshot) -> Iterator[MadeItem]:
    """Yield every item, also one that waits for its vector, in the order they were written."""
    found = with_photos(
        snapshot,
        "items.id, items.title, items.image, items.attributes, items.image_sha256, items.caption_key, "
        "coalesce(captions.text, '')",
        ("photos.image", "photos.image_sha256", "photos.caption_key", "coalesce(further.text, '')"),
        "TRUE",
        "items.number",
    )
    for (item_id, title, image, cells), rows in groupby(found, key=itemgetter(0, 1, 2, 3)):
        own = list(rows)
        further = [row[7:] for row in own if row[7] is not None]
        item = Item(item_id, Path(image), title, snapshot.json_object(cells), tuple(Path(row[0]) for row in further))
        yield MadeItem(item, (MadePhoto(*own[0][4:7]), *(MadePhoto(*row[1:]) for row in further)))


def grounded_items(store: StoreReader, kind: EncodedText) -> Iterator[tuple[GroundedItem, int]]:
    """Yield every item that can be recommended as it was written, photo vectors included, with the row of its vector."""
    vectors = store.photo_vectors() if store.keeps_photo_vectors else None
    rows = dict(store.query("SELECT image_sha256, row FROM photo_vectors")) if vectors is not None else {}

    def photo(cells: Sequence[Any]) -> GroundedPhoto:
        image, sha256, key, question, caption, fields = cells
        row = rows.get(sha256)
        own = None if vectors is None or row is None else np.array(vectors[row])
        return GroundedPhoto(Path(image), sha256, key, question, caption, fields, own)

    found = with_photos(
        store,
        "items.id, items.title, items.attributes, items.vector_row, items.image, items.image_sha256, items.caption_key, "
        "coalesce(captions.question, ''), coalesce(captions.text, ''), captions.fields",
        (
            *("photos.image", "photos.image_sha256", "photos.caption_key"),
            *("coalesce(further.question, '')", "coalesce(further.text, '')", "further.fields"),
        ),
        "items.vector_row IS NOT NULL",
        "items.number",
    )
    for (item_id, title, cells, row), lines in groupby(found, key=itemgetter(0, 1, 2, 3)):
        own = list(lines)
        photos = [photo(own[0][4:10]), *(photo(line[10:]) for line in own if line[10] is not None)]
        item = Item(item_id, photos[0].image, title, store.json_object(cells))
        yield grounded_item(item, photos, kind), row
