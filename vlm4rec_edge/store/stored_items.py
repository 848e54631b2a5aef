"""Items as they are read: rows of items, captions and further photos put together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vlm4rec_edge.items import StoredItem, StoredPhoto
from vlm4rec_edge.store.snapshot import StoreSnapshot

# Items with the caption of their first photo, and those of their further photos: as many rows as photos, or one.
_ITEMS = "FROM items LEFT JOIN captions ON captions.key = items.caption_key"
_FURTHER = """
    LEFT JOIN photos ON photos.item = items.id LEFT JOIN captions AS further ON further.key = photos.caption_key
"""


def stored_items(
    snapshot: StoreSnapshot, condition: str, order: str, parameters: Sequence[Any] = ()
) -> Iterator[StoredItem]:
    """Yield the items that a condition of SQL holds for, with all their photos."""
    found = with_photos(
        snapshot,
        f"items.id, items.{snapshot.row_column}, items.title, coalesce(captions.text, ''), items.image, items.attributes, "
        "captions.fields",
        ("photos.image", "coalesce(further.text, '')", "further.fields"),
        condition,
        order,
        parameters,
    )
    own: list[Any] = []
    for row in found:
        if own and row[0] != own[0][0]:
            yield _of_several(snapshot, own)
            own = []
        if row[7] is None:
            item_id, number, title, caption, image, columns, said, *_ = row
            attributes, fields = said_of(snapshot, columns, *(() if said is None else (said,)))
            yield StoredItem(item_id, number, title, caption, image, attributes, fields)
        else:
            own.append(row)
    if own:
        yield _of_several(snapshot, own)


def with_photos(
    snapshot: StoreSnapshot,
    columns: str,
    further: Sequence[str],
    condition: str,
    order: str,
    parameters: Sequence[Any] = (),
) -> Iterator[Any]:
    """Yield a row for each further photo of an item, one for an item without any, with None in place of ``further``.

    Where no item has further photos, looking for them would take as long as all the rest.
    """
    if snapshot.has_further_photos:
        return snapshot.query(
            f"SELECT {columns}, {', '.join(further)} {_ITEMS} {_FURTHER} WHERE {condition} ORDER BY {order}, photos.place",
            parameters,
        )
    return snapshot.query(
        f"SELECT {columns}{', NULL' * len(further)} {_ITEMS} WHERE {condition} ORDER BY {order}", parameters
    )


def _of_several(snapshot: StoreSnapshot, rows: list[Any]) -> StoredItem:
    """Return an item of several photos, of the rows for its further ones."""
    item_id, row, title, first, image, columns, said, *_ = rows[0]
    photos = [(image, first, said), *(row[7:] for row in rows)]
    try:
        return item_of_photos(item_id, row, title, snapshot.json_object(columns), photos, snapshot.json_object)
    except TypeError as error:  # as in ``said_of``
        raise snapshot.damaged(error) from error


def item_of_photos(
    item_id: str,
    row: int,
    title: str,
    columns: dict[str, str],
    photos: Sequence[tuple[str, str, str | None]],
    parsed: Callable[[str], dict[str, Any]] = json.loads,
) -> StoredItem:
    """Return an item of its photos: of each its path, its caption, and the fields of that as JSON, if it has some."""
    (image, caption, _), *more = photos
    words = [None if fields is None else parsed(fields) for _, _, fields in photos]
    attributes, fields = _known(columns, [own for own in words if own is not None])
    if not more:
        return StoredItem(item_id, row, title, caption, image, attributes, fields)
    caption = " ".join(dict.fromkeys(text for _, text, _ in photos if text))
    shown = tuple(StoredPhoto(path, text, own or {}) for (path, text, _), own in zip(photos, words, strict=True))
    return StoredItem(item_id, row, title, caption, image, attributes, fields, shown)


def said_of(snapshot: StoreSnapshot, columns: str, *said: str) -> tuple[dict[str, str], dict[str, str | list[str]]]:
    """Return the attributes of an item, and the fields of its captions; of several the first that fills one counts."""
    try:
        return _known(snapshot.json_object(columns), [snapshot.json_object(text) for text in said])
    except TypeError as error:  # damage that is a JSON object still, but not of texts
        raise snapshot.damaged(error) from error


def _known(
    columns: dict[str, str], said: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, str], dict[str, str | list[str]]]:
    if not said:
        return columns, {}
    fields: dict[str, str | list[str]] = {}
    for own in said:
        fields |= {name: value for name, value in own.items() if value or name not in fields} | {
            name: value for name, value in fields.items() if value
        }
    return _attributes(columns, fields), fields


def _attributes(columns: dict[str, str], fields: Mapping[str, str | list[str]]) -> dict[str, str]:
    """Return what is known of an item: the shop's own columns, and what the caption says where they are silent."""
    said = {name: ", ".join(value) if isinstance(value, list) else value for name, value in fields.items()}
    return columns | {name: text for name, text in said.items() if text and not columns.get(name)}
