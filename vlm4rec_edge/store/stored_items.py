"""Items as they are read: rows of items, captions and further photos put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    caption = " ".join(dict.fromkeys(text for _, text, _ in photos if text))
    words = [fields for _, _, fields in photos if fields is not None]
    shown = tuple(_photo(snapshot, *photo) for photo in photos)
    return StoredItem(item_id, row, title, caption, image, *said_of(snapshot, columns, *words), shown)


def _photo(snapshot: StoreSnapshot, image: str, caption: str, said: str | None) -> StoredPhoto:
    return StoredPhoto(image, caption, {} if said is None else snapshot.json_object(said))


def said_of(snapshot: StoreSnapshot, columns: str, *said: str) -> tuple[dict[str, str], dict[str, str | list[str]]]:
    """Return the attributes of an item, and the fields of its captions; of several the first that fills one counts."""
    if not said:
        return snapshot.json_object(columns), {}
    fields: dict[str, str | list[str]] = {}
    for text in said:
        own = snapshot.json_object(text)
        fields |= {name: value for name, value in own.items() if value or name not in fields} | {
            name: value for name, value in fields.items() if value
        }
    try:
        return _attributes(snapshot.json_object(columns), fields), fields
    except TypeError as error:  # damage that is a JSON object still, but not of texts
        raise snapshot.damaged(error) from error


def _attributes(columns: dict[str, str], fields: Mapping[str, str | list[str]]) -> dict[str, str]:
    """Return what is known of an item: the shop's own columns, and what the caption says where they are silent."""
    said = {name: ", ".join(value) if isinstance(value, list) else value for name, value in fields.items()}
    return columns | {name: text for name, text in said.items() if text and not columns.get(name)}
