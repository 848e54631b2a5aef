"""Purchases in which some items go together, whatever they read like, and items that read like nothing in particular."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from made_store import EncodingWriter, GivenVectors, random_vectors

from vlm4rec_edge.interactions import Interactions
from vlm4rec_edge.items import Item
from vlm4rec_edge.provenance import MadeBy, fingerprint
from vlm4rec_edge.store.grounded import GroundedItem

ITEMS, GROUPS, IN_A_GROUP = 240, 24, 10
USERS, EACH = 500, 4


def item_ids(count: int = ITEMS) -> list[str]:
    """The ids of ``shop``."""
    return [f"item-{row}" for row in range(count)]


def bought(lists: Sequence[Sequence[int]], dates: Sequence[Sequence[float]] | None = None) -> Interactions:
    """Interactions of users with items, given by their numbers, one day after the other from 2026-01-01 on."""
    sizes = [len(items) for items in lists]
    return Interactions(
        users=tuple(f"user-{number}" for number in range(len(lists))),
        items=tuple(item_ids()),
        user=np.repeat(np.arange(len(lists), dtype=np.int32), sizes),
        item=np.concatenate([np.array(items, np.int32) for items in lists]),
        date=np.concatenate([np.arange(20_454.0, 20_454 + size) for size in sizes] if dates is None else list(dates)),
        weight=np.ones(sum(sizes)),
    )


def together(users: int = USERS, seed: int = 0) -> Interactions:
    """Purchases of users who each take from one group of items, which has nothing to do with their words."""
    random = np.random.default_rng(seed)
    groups = np.random.default_rng(7).permutation(ITEMS).reshape(GROUPS, IN_A_GROUP)
    return bought([random.permutation(groups[random.integers(GROUPS)])[:EACH] for _ in range(users)])


def at_random(users: int = USERS, seed: int = 0) -> Interactions:
    """Purchases of users who take anything."""
    random = np.random.default_rng(seed)
    return bought([random.permutation(ITEMS)[:EACH] for _ in range(users)])


def shop(
    folder: Path,
    vectors: np.ndarray | None = None,
    rows: Sequence[int] | None = None,
    photos: Mapping[int, np.ndarray] | None = None,
    tower: int = 1,
) -> Path:
    """Write items whose titles read like nothing in particular, or bring them up to date; return the folder.

    ``photos`` are the vectors of the photos that some items have, by the numbers of the items, made by some ``tower``.
    """
    vectors = random_vectors(ITEMS) if vectors is None else vectors
    items = []
    for row in range(len(vectors)) if rows is None else rows:
        seen = (photos or {}).get(row)
        item = Item(f"item-{row}", folder / "none.png", str(row))
        items.append(GroundedItem(item, "" if seen is None else f"photo {row}", None, "", "", str(row), vector=seen))
    encoder, made = GivenVectors(vectors), {"name": "tower", "version": tower}
    by = None if photos is None else MadeBy(fingerprint(made), made)
    with EncodingWriter(folder, grounding=None, encoder=encoder, encoded_text="title", photo_vectors_by=by) as store:
        store.put(items)
    return folder
