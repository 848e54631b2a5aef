"""What was made of each item of a store, to compare it with what would be made now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from vlm4rec_edge.items import Item
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
