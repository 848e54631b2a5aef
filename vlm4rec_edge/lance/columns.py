"""The columns of a table, and how an item becomes a row of it and a row an item.

An attribute has two columns: ``attribute_NAME``, its text as it is, and ``number_NAME``, the number that it is, or null. So
LanceDB compares texts as texts and numbers as numbers. What is no letter, digit, ``_`` or ``-`` in a name is written as in an
address: ``attribute_colour%20name``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from vlm4rec_edge.columns import number_of_text
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.items import StoredItem, StoredPhoto, is_nfc
from vlm4rec_edge.lance.notes import TableNotes
from vlm4rec_edge.optional import optional

ID, VECTOR, FORM = "id", "vector", "text_form"
TEXTS = ("id", "title", "caption", "image")
# Of the texts of an item that filters compare: all are ASCII; all are in Unicode's form NFC; one is not.
ASCII, NFC, ANY = 0, 1, 2
_JSON = ("fields", "photos")
# By this LanceDB sees that two writers have added one item at once, and lets the second try again.
_KEY = {"lance-schema:unenforced-primary-key:position": "1"}
_ATTRIBUTE, _NUMBER = "attribute_", "number_"
# All that an item is made of, without its vector.
ITEM_COLUMNS = (*TEXTS, *_JSON)


def attribute_column(name: str) -> str:
    """Return the column of an attribute's text."""
    return _ATTRIBUTE + _written(name)


def number_column(name: str) -> str:
    """Return the column of the numbers that an attribute's texts are."""
    return _NUMBER + _written(name)


def _written(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E")  # by a dot LanceDB finds its way into a column


def attributes_of(columns: Iterable[str]) -> list[str]:
    """Return the attributes that a table has columns for, in order."""
    return [unquote(name.removeprefix(_ATTRIBUTE)) for name in columns if name.startswith(_ATTRIBUTE)]


def schema_of(notes: TableNotes, attributes: Sequence[str]) -> Any:
    """Return the Arrow schema of a table."""
    arrow = arrow_package()
    return arrow.schema(
        [
            arrow.field(ID, arrow.string(), nullable=False, metadata=_KEY),
            *(arrow.field(name, arrow.string()) for name in (*TEXTS[1:], *_JSON)),
            arrow.field(FORM, arrow.int8()),
            arrow.field(VECTOR, arrow.list_(arrow.float32(), notes.dimensions)),
            *(field for name in attributes for field in attribute_fields(name)),
        ],
        metadata=notes.to_metadata(),
    )


def attribute_fields(name: str) -> list[Any]:
    """Return the two fields of an attribute."""
    arrow = arrow_package()
    return [arrow.field(attribute_column(name), arrow.string()), arrow.field(number_column(name), arrow.float64())]


def rows_of_items(items: Sequence[StoredItem], vectors: np.ndarray, schema: Any, attributes: Sequence[str]) -> Any:
    """Return an Arrow batch of items with their vectors [n, dimensions].

    Raises:
        UsageError: an item has an attribute that the table has no column for, or the vectors have another shape.
    """
    arrow = arrow_package()
    dimensions = schema.field(VECTOR).type.list_size
    if vectors.shape != (len(items), dimensions):
        raise UsageError(
            f"{len(items)} items need vectors of shape [{len(items)}, {dimensions}], not {list(vectors.shape)}."
        )
    known = set(attributes)
    if new := next((name for item in items for name in item.attributes if name not in known), None):
        raise UsageError(f"Items have an attribute {new!r}, which was not among those that the table is written with.")
    flat = arrow.array(np.ascontiguousarray(vectors, np.float32).ravel())
    columns: dict[str, Any] = {
        **{name: [getattr(item, name) for item in items] for name in TEXTS},
        "fields": [_json(dict(item.fields)) for item in items],
        "photos": [_json([vars(photo) for photo in item.photos]) for item in items],
        FORM: [_form(item) for item in items],
        VECTOR: arrow.FixedSizeListArray.from_arrays(flat, dimensions),
    }
    for name in attributes:
        texts = [item.attributes.get(name) for item in items]
        columns[attribute_column(name)] = texts
        columns[number_column(name)] = arrow.array([_number(text) for text in texts], arrow.float64())
    arrays = [
        column if isinstance(column, arrow.Array) else arrow.array(column, schema.field(name).type)
        for name, column in ((name, columns[name]) for name in schema.names)
    ]
    return arrow.record_batch(arrays, schema=schema)


def items_of_rows(
    rows: Sequence[Mapping[str, Any]], numbers: Sequence[int], attributes: Sequence[str]
) -> Iterable[StoredItem]:
    """Yield the items of rows with ``ITEM_COLUMNS`` and attributes, as Arrow's ``to_pylist`` makes them, and their numbers."""
    columns = [(name, attribute_column(name)) for name in attributes]
    for row, number in zip(rows, numbers, strict=True):
        yield StoredItem(
            id=row["id"],
            row=number,
            title=row["title"] or "",
            caption=row["caption"] or "",
            image=row["image"] or "",
            attributes={name: row[column] for name, column in columns if row[column] is not None},
            fields=json.loads(row["fields"] or "{}"),
            photos=tuple(StoredPhoto(**photo) for photo in json.loads(row["photos"] or "[]")),
        )


def arrow_package() -> Any:
    """Return pyarrow, which lancedb brings."""
    return optional("pyarrow", "LanceDB tables need lancedb", "lancedb", " (or pip install lancedb)")


def _json(value: Mapping[str, Any] | Sequence[Any]) -> str | None:
    return json.dumps(value, ensure_ascii=False) if value else None


def _number(text: str | None) -> float | None:
    """Return the number that a text is, or None; never -0.0, which LanceDB takes for less than 0."""
    number = number_of_text(text or "")
    return None if np.isnan(number) else number + 0.0


def _form(item: StoredItem) -> int:
    texts = (item.id, item.title, item.caption, *item.attributes.values())
    if all(map(str.isascii, texts)):
        return ASCII
    return NFC if all(map(is_nfc, texts)) else ANY
