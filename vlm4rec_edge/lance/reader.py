"""Read a table, as a source of items for the recommender: what is asked of its items."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from vlm4rec_edge.columns import ItemTable
from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.lance.columns import ID, ITEM_COLUMNS, attribute_column, items_of_rows
from vlm4rec_edge.lance.conditions import IS_UNTITLED, Conditions, has_value, is_no_number, quoted
from vlm4rec_edge.lance.table import lazy_table
from vlm4rec_edge.lance.version import ROW_ID, TableVersion
from vlm4rec_edge.mixture import Layout
from vlm4rec_edge.recommend.filter import compared_with_numbers, tell_no_numbers
from vlm4rec_edge.recommend.where import Compare, Expression

# Ids in one condition; LanceDB looks each up in its index of ids.
_IDS = 500
# Filters whose condition, and how many rows it admits, are kept.
_KEPT = 32


class LanceReader(TableVersion):
    """One version of a table, and the questions that are asked of it; arguments, attributes and errors as ``TableVersion``."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._lock = threading.Lock()
        self._items: ItemTable | None = None
        self.condition = lru_cache(_KEPT)(self._condition)
        self.admitted = lru_cache(_KEPT)(self.count_where)

    @property
    def meta(self) -> Mapping[str, str]:
        """Notes of the index it was made of: ``encoder`` and ``grounding`` (fingerprints), ``encoded_text``."""
        return self.notes.meta

    @property
    def layout(self) -> Layout | None:
        """Where the parts of a vector lie, if the index had learned from purchases; None if not."""
        return self.notes.layout

    @property
    def representation(self) -> str:
        """By what items are compared."""
        return "words" if self.layout is None else "learned"

    @property
    def keeps_photo_vectors(self) -> bool:
        """False: a table leaves them out."""
        return False

    @property
    def learned(self) -> Mapping[str, Any]:
        """Facts about what was learned from purchases; empty if nothing was."""
        return self.notes.learned

    @property
    def space(self) -> str:
        """The fingerprint of what was learned, or of the encoder."""
        return self.notes.space

    def rows_of(self, item_ids: Iterable[str]) -> dict[str, int]:
        """Return the row of each id that is known; unknown ids are left out."""
        wanted = list(dict.fromkeys(item_ids))
        row_ids = {row[ID]: row[ROW_ID] for part in _parts(wanted) for row in self.found([ID], _is_one_of(part))}
        known = [item_id for item_id in wanted if item_id in row_ids]
        numbers = self.numbers.numbers(np.array([row_ids[item_id] for item_id in known], np.int64))
        return dict(zip(known, numbers.tolist(), strict=True))

    def ids_at(self, rows: Sequence[int]) -> dict[int, list[str]]:
        """Return the id of the item of each row."""
        different = np.unique(np.asarray(rows, np.int64))
        if not len(different):
            return {}
        ids = self.taken(different, [ID])[ID].to_pylist()
        return {row: [item_id] for row, item_id in zip(different.tolist(), ids, strict=True)}

    def items_of(self, item_ids: Sequence[str]) -> dict[str, StoredItem]:
        """Return the items of those ids that are known."""
        return {
            item.id: item
            for part in _parts(list(dict.fromkeys(item_ids)))
            for item in self._items_of_rows(self.found(self._item_columns, _is_one_of(part)))
        }

    def ids_where(self, condition: str, among: Collection[str] | None = None) -> Iterator[str]:
        """Yield the ids of the items that fulfil a condition of ``condition``; of ``among``, unless it is None."""
        if among is None:
            yield from self._ids(condition)
        else:
            for part in _parts(list(among)):
                yield from self._ids(f"{condition} AND {_is_one_of(part)}")

    def ids(self) -> Iterator[str]:
        """Yield the id of every item, in the order of ``items``."""
        return self._ids(None)

    def _ids(self, condition: str | None) -> Iterator[str]:
        for batch in self.batches([ID], condition):
            yield from batch[ID].to_pylist()

    def items(self) -> Iterator[StoredItem]:
        """Yield every item, in LanceDB's order."""
        for batch in self.batches(self._item_columns):
            yield from self._items_of_rows(batch.to_pylist())

    @property
    def _item_columns(self) -> list[str]:
        return [*ITEM_COLUMNS, *map(attribute_column, self.attributes)]

    def _items_of_rows(self, rows: Sequence[Mapping[str, Any]]) -> Iterable[StoredItem]:
        numbers = self.numbers.numbers(np.array([row[ROW_ID] for row in rows], np.int64))
        return items_of_rows(rows, numbers.tolist(), self.attributes)

    def table(self) -> ItemTable:
        """Return all items as columns, each read when it is first asked for, and kept."""
        with self._lock:
            if self._items is None:
                self._items = lazy_table(self.count(), self.attributes, self.texts_of)
            return self._items

    def _condition(self, tree: Expression) -> str | None:
        """Return a filter as a condition that LanceDB decides, or None where it has none; the last ones are kept.

        Items that cannot fulfil a comparison with a number because their value is none are reported by a ``Vlm4RecWarning``.
        """
        condition = Conditions(self.text_form).of(tree)
        if condition is not None:
            for compared in compared_with_numbers(tree):
                self._tell_no_numbers(compared)
        return condition

    def _tell_no_numbers(self, compared: Compare) -> None:
        column, lacking = compared.column, is_no_number(compared.column)
        tell_no_numbers(
            compared,
            self.count_where(lacking),
            self.count_where(has_value(column)),
            lambda: str(self.found([attribute_column(column)], lacking, 1)[0][attribute_column(column)]),
        )

    def count_without_title(self) -> int:
        """Return how many items have no title; LanceDB counts them."""
        return self.count_where(IS_UNTITLED)

    def thumbnail(self, item_id: str) -> None:
        """Return nothing: a table notes where the photos are, and keeps no pictures of them."""

    def provenance(self, table: str) -> dict[str, Any]:
        """Return what made the captions (``groundings``) or the vectors (``encoders``); empty if nothing."""
        return dict({"groundings": self.notes.groundings, "encoders": self.notes.encoders}[table])

    def encoder_files(self) -> None:
        """Return nothing: a table notes which encoder made it, and carries none."""

    @property
    def lvlm_folder(self) -> None:
        """Nothing, for the same reason."""


def _parts(ids: list[str]) -> Iterator[list[str]]:
    writable = [item_id for item_id in ids if _is_unicode(item_id)]
    for start in range(0, len(writable), _IDS):
        yield writable[start : start + _IDS]


def _is_unicode(text: str) -> bool:
    """Whether a text can be written at all; half of a surrogate pair cannot, and no item has it in its id."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_one_of(ids: Sequence[str]) -> str:
    return f"{ID} IN ({', '.join(map(quoted, ids))})"
