"""All items of a store as columns."""

from __future__ import annotations

import numpy as np

from vlm4rec_edge.columns import Column, ItemTable, coded
from vlm4rec_edge.store.snapshot import StoreSnapshot
from vlm4rec_edge.store.stored_items import said_of, with_photos


def read_table(snapshot: StoreSnapshot) -> ItemTable:
    """Return all items as columns."""
    rows: list[int] = []
    ids: list[str] = []
    titles: list[str] = []
    captions: list[str] = []
    words: list[tuple[str, ...]] = []
    # Many items of a shop say the same of themselves, and a text read twice is one text here.
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for item_id, row, title, caption, cells, said, more, fields in with_photos(
        snapshot,
        f"items.id, items.{snapshot.row_column}, items.title, coalesce(captions.text, ''), items.attributes, captions.fields",
        ("further.text", "further.fields"),
        f"items.{snapshot.row_column} IS NOT NULL",
        f"items.{snapshot.row_column}, items.id",
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
    told_of = {own: said_of(snapshot, *own)[0] for own in dict.fromkeys(words)}
    attributes = [told_of[own] for own in words]
    names = dict.fromkeys(name for cells in told_of.values() for name in cells)
    columns: dict[str, Column] = {
        name: coded(cells.get(name, "") for cells in attributes) for name in names if name not in ("title", "caption")
    }
    columns = {"title": coded(titles), "caption": coded(captions), **columns}
    return ItemTable(np.array(rows, dtype=np.int64), ids, columns)
