"""The items of an index or a bundle, a page at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.items import StoredPhoto, item_id
from vlm4rec_edge.recommend.ids import KnownIds
from vlm4rec_edge.recommend.selection import Selection, Selector
from vlm4rec_edge.recommend.source import ItemSource, open_source

PAGE_ITEMS = 50


@dataclass(frozen=True)
class ListedItem:
    """An item as an index holds it: ``attributes`` are the catalog's further columns and the fields of its caption.

    ``photos`` are all its photos, each with its caption, where it has several; a bundle keeps the first alone.
    """

    id: str
    title: str
    caption: str
    image: str
    attributes: Mapping[str, str]
    photos: tuple[StoredPhoto, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return its part of the document that ``items --json`` prints."""
        return {**asdict(self), "attributes": dict(self.attributes), "photos": [asdict(photo) for photo in self.photos]}


@dataclass(frozen=True)
class ItemPage:
    """Some items of an index, ordered by id (by code point).

    Attributes:
        index: The path of the index or the bundle.
        total: How many items there are in all, of those that the filter admits.
        items: Those of this page.
        next_after: What ``after`` is for the next page; None where this is the last.
        unknown: Ids that the filter names and the index does not hold.
    """

    index: str
    total: int
    items: tuple[ListedItem, ...]
    next_after: str | None
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``items --json`` prints."""
        items = [item.to_dict() for item in self.items]
        return {**asdict(self), "items": items, "unknown": list(self.unknown)}


def list_items(
    index: Path | str, *, where: str | None = None, after: Any = None, limit: int | None = PAGE_ITEMS
) -> ItemPage:
    """Return the items of an index or a bundle, or a page of them.

    Args:
        index: An index folder or a bundle.
        where: A filter, as in ``Selection``.
        after: Only items whose ids come after this one, by code point; it need not be there.
        limit: At most so many; None: all.

    Raises:
        StoreError: the index cannot be read.
        UsageError: the filter cannot be read, ``after`` is no id, or ``limit`` is below 1.
    """
    if limit is not None and (not isinstance(limit, Integral) or limit < 1):
        raise UsageError(f"limit is {limit}; ask for at least 1 item, a whole number, or None for all.")
    source, _ = open_source(index, exact_limit=0)
    with closing(source):
        ids = KnownIds(source)
        selector = Selector(source, ids)
        selection = Selection(where=where)
        unknown = selector.named_by(selection).unknown
        admitted = list(_admitted(source, selector, selection))
        start = None if after is None else ids.look_up([item_id(after)]).ids[0]
        following = [item for item in admitted if start is None or item > start]
        page = sorted(following) if limit is None else heapq.nsmallest(limit, following)
        items = source.items_of(page)
        listed = tuple(
            ListedItem(item.id, item.title, item.caption, item.image, item.attributes, item.photos)
            for item in (items[item_id] for item_id in page)
        )
        return ItemPage(str(index), len(admitted), listed, page[-1] if len(page) < len(following) else None, unknown)


def _admitted(source: ItemSource, selector: Selector, selection: Selection) -> Iterable[str]:
    """Yield the ids that a filter admits; without one, the table of all items is not read."""
    mask = selector.admission(selection).mask
    if mask is None:
        return source.ids()
    table = source.table()
    return (table.ids[place] for place in mask.nonzero()[0].tolist())
