"""A made shop whose photos have vectors of their own, which say something else than its words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from made_store import EncodingWriter, GivenVectors, random_vectors, unit

from vlm4rec_edge.items import Item
from vlm4rec_edge.provenance import MadeBy, fingerprint
from vlm4rec_edge.store.grounded import GroundedItem, GroundedPhoto

ITEMS, WIDTH = 60, 8
COLOURS = ("red", "blue", "green")
NOUNS = ("boots", "dress", "jacket", "scarf", "hat")
# Items whose photo has no vector, and one that has a second photo.
BARE = ("item-7", "item-8")
TWICE = "item-3"


def caption(row: int) -> str:
    """What is said of an item."""
    return f"{COLOURS[row % 3].capitalize()} {NOUNS[row % 5]} for the street, number {row}."


def photo_of(row: int) -> np.ndarray:
    """The vector of an item's photo, [WIDTH]: all photos have much in common."""
    return np.asarray(unit(np.ones(WIDTH) * 2 + random_vectors(ITEMS + 1, WIDTH, seed=11)[row]), np.float32)


def write_photo_shop(folder: Path, items: int = ITEMS, photo: Callable[[int], np.ndarray] = photo_of) -> Path:
    """Write it, several items to a row of words, and return its folder."""
    entries = []
    for row in range(items):
        name, said = f"item-{row}", caption(row)
        columns = {"colour": COLOURS[row % 3], "price": str(row)}
        own = None if name in BARE else photo(row)
        more = ()
        if name == TWICE:
            more = (GroundedPhoto(folder / "none.png", "photo again", "again", "", said, vector=photo(ITEMS)),)
        item = Item(name, folder / "none.png", "", columns, tuple(photo.image for photo in more))
        entries.append(GroundedItem(item, f"photo {row}", f"said {row}", "", said, str(row // 2), None, more, own))
    made = {"name": "tower"}
    with EncodingWriter(
        folder,
        grounding=("made", {"name": "made", "prompt": "What?"}),
        encoder=GivenVectors(random_vectors(ITEMS, 6)),
        encoded_text="caption",
        photo_vectors_by=MadeBy(fingerprint(made), made),
    ) as store:
        store.put(entries)
    return folder
