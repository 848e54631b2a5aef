"""The items of an index or a bundle, a page at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from numbers import Integral
from typing import Any

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import Place
from vlm4rec_edge.items import StoredItem, StoredPhoto, item_id
from vlm4rec_edge.recommend.ids import KnownIds
from vlm4rec_edge.recommend.selection import Selection, Selector
from vlm4rec_edge.recommend.source import ItemSource, open_source

PAGE_ITEMS = 50
# Filters whose items are kept in order: 8 bytes an item each.
_KEPT = 8


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
        return {**vars(self), "attributes": dict(self.attributes), "photos": [asdict(photo) for photo in self.photos]}


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
        return {**vars(self), "items": items, "unknown": list(self.unknown)}


class Listing:
    """Lists the items of a source, and remembers the order of the last filters. Safe to use from several threads."""

    def __init__(self, source: ItemSource, selector: Selector, ids: KnownIds) -> None:
        self._source = source
        self._selector = selector
        self._ids = ids
        self._ordered = lru_cache(_KEPT)(self._in_order)

    def page(
        self, *, where: str | None = None, after: Any = None, skip: int = 0, limit: int | None = PAGE_ITEMS
    ) -> ItemPage:
        """Return a page, as ``list_items`` does."""
        if limit is not None and (not isinstance(limit, Integral) or limit < 1):
            raise UsageError(f"limit is {limit}; ask for at least 1 item, a whole number, or None for all.")
        if not isinstance(skip, Integral) or skip < 0:
            raise UsageError(f"skip is {skip}; pass over 0 items or more, a whole number.")
        unknown = self._selector.named_by(Selection(where=where)).unknown
        ordered = self._ordered(where)
        start = skip + (0 if after is None else bisect_right(ordered, self._ids.look_up([item_id(after)]).ids[0]))
        end = len(ordered) if limit is None else min(start + limit, len(ordered))
        page = ordered[start:end]
        listed = tuple(self.listed(page))
        return ItemPage(
            str(self._source.folder), len(ordered), listed, page[-1] if page and end < len(ordered) else None, unknown
        )

    def listed(self, ids: Sequence[str]) -> list[ListedItem]:
        """Return the items of those ids that are known, in the order given."""
        items = self._source.items_of(ids)
        return [_listed(items[one]) for one in ids if one in items]

    def _in_order(self, where: str | None) -> list[str]:
        return sorted(self._selector.ids_admitted(where))


def list_items(
    index: Place, *, where: str | None = None, after: Any = None, skip: int = 0, limit: int | None = PAGE_ITEMS
) -> ItemPage:
    """Return the items of an index or a bundle, or a page of them.

    Args:
        index: An index folder, a bundle, or the address of a table.
        where: A filter, as in ``Selection``.
        after: Only items whose ids come after this one, by code point; it need not be there.
        skip: Pass over so many of them.
        limit: At most so many; None: all.

    Raises:
        StoreError: the index cannot be read.
        UsageError: the filter cannot be read, ``after`` is no id, ``limit`` is below 1, or ``skip`` is below 0.
    """
    source, _ = open_source(index, exact_limit=0)
    with closing(source):
        ids = KnownIds(source)
        page = Listing(source, Selector(source, ids), ids).page(where=where, after=after, skip=skip, limit=limit)
        return replace(page, index=str(index))


def containing(text: str) -> str:
    """Return the filter for items whose id, title or caption contains each word of a text."""
    words = [word.replace("'", "''") for word in text.split()]
    return " and ".join(
        f"(id contains '{word}' or title contains '{word}' or caption contains '{word}')" for word in words
    )


def _listed(item: StoredItem) -> ListedItem:
    return ListedItem(item.id, item.title, item.caption, item.image, item.attributes, item.photos)
