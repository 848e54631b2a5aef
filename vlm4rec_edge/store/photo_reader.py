"""Read a store by its photos: every item has the vector of its photos in place of that of its words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.columns import Column, ItemTable
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.items import StoredItem
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.trouble import holds_nothing

# A photo this near to the mean photo has no direction of its own.
_NO_DIRECTION = 1e-6
_NO_VECTORS = np.zeros((0, 0), np.float32)


class PhotoReader(StoreReader):
    """The same store with other vectors: the mean of an item's photo vectors, less the mean of all items, at unit length.

    The mean of all items is what the shop's photos have in common, the white ground and the light. Left in, it counts in every
    cosine, and whatever is most like it is near to everything: photos are compared as well as they can be without it.

    An item none of whose photos has a vector adds nothing to a history, and is never recommended. All vectors are held in
    memory, float32.

    Raises:
        StoreError: there is no index, or it is damaged or empty.
        UsageError: it keeps no vectors of photos.
    """

    def __init__(self, folder: Path | str, *, mapped: bool = False) -> None:
        super().__init__(folder, mapped=mapped, content=True)
        try:
            if self.is_empty():
                raise holds_nothing(self.folder)
            self._ids = list(super().ids())
            self._row_of = {item_id: row for row, item_id in enumerate(self._ids)}
            own = self.photos_of(self._ids).at(np.arange(len(self._ids))) if self.keeps_photo_vectors else _NO_VECTORS
            if not own.any():
                raise UsageError(
                    f"{self.folder} keeps no vectors of its photos, so items cannot be compared by them; make them with: "
                    f"vlm4rec-edge index CATALOG --out {self.folder} --photo-vectors"
                )
            self._has_photo = np.asarray(own.any(axis=1))
            self.vectors = _centred(own, self._has_photo)
            self.space = f"photos of {self.meta['photo_vectors']}"
        except BaseException:
            self.close()
            raise

    @property
    def representation(self) -> str:
        """By what items are compared."""
        return "photos"

    @property
    def learned(self) -> dict[str, Any]:
        """Nothing: what was learned from purchases is no part of these vectors."""
        return {}

    def rows_of(self, item_ids: Iterable[str]) -> dict[str, int]:
        """Return the row of each id that is known."""
        return {item_id: self._row_of[item_id] for item_id in dict.fromkeys(item_ids) if item_id in self._row_of}

    def ids_at(self, rows: Sequence[int]) -> dict[int, list[str]]:
        """Return the id of the item of each row; without those that have no photo vector, which are not recommended."""
        return {row: [self._ids[row]] for row in rows if self._has_photo[row]}

    def ids(self) -> Iterator[str]:
        """Yield the id of every item."""
        return iter(self._ids)

    def items_of(self, item_ids: Sequence[str]) -> dict[str, StoredItem]:
        """Return the items of those ids that are known, each with its row here."""
        found = super().items_of(item_ids)
        return {item_id: _at(item, self._row_of[item_id]) for item_id, item in found.items()}

    def items(self) -> Iterator[StoredItem]:
        """Yield every item, with its row here."""
        return (_at(item, self._row_of[item.id]) for item in super().items())

    def _read_table(self) -> ItemTable:
        """Return the items that can be recommended as columns, in the order of their rows here."""
        table = super()._read_table()
        rows = np.array([self._row_of[item_id] for item_id in table.ids], np.int64)
        order = np.argsort(rows)
        order = order[self._has_photo[rows[order]]]
        columns = {name: Column(column.values, column.codes[order]) for name, column in table.columns.items()}
        return ItemTable(rows[order], [table.ids[place] for place in order.tolist()], columns)


def _centred(vectors: np.ndarray, has_photo: np.ndarray) -> np.ndarray:
    """Return unit vectors [items, dimensions] less their mean, at unit length; zero where there is none.

    Photos that are all the same have nothing but their mean, and stay as they are.
    """
    away = vectors - vectors[has_photo].mean(axis=0, dtype=np.float64).astype(np.float32)
    away[~has_photo] = 0
    lengths = np.linalg.norm(away, axis=1, keepdims=True)
    if lengths.max() < _NO_DIRECTION:
        return vectors
    return np.where(lengths > _NO_DIRECTION, away / np.maximum(lengths, _NO_DIRECTION), np.float32(0))


def _at(item: StoredItem, row: int) -> StoredItem:
    return replace(item, row=row)
