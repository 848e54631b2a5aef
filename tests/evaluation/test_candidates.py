"""The candidates of an evaluation: in the order of their ids, equal vectors as one, each read once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from made_store import random_vectors, write_store

from vlm4rec_edge.evaluation import candidates as module
from vlm4rec_edge.evaluation.candidates import candidates
from vlm4rec_edge.store.reader import StoreReader


class Counting(StoreReader):
    """Notes which rows are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read: list[int] = []

    def vectors_at(self, rows: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return what the store returns."""
        self.read += list(rows)
        return super().vectors_at(rows)


@pytest.mark.parametrize("block", [2, 8192])
def test_equal_vectors_are_one_in_the_order_of_ids_and_each_row_is_read_once(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    vectors = random_vectors(6)
    vectors[4] = vectors[1]
    rows = {"g": 0, "b": 1, "f": 2, "a": 3, "e": 4, "c": 5, "d": 0}
    write_store(tmp_path, vectors, list(rows.items()))
    with Counting(tmp_path) as store:
        kept = {item_id: store.rows_of([item_id])[item_id] for item_id in rows}
        items, found = candidates(store)
        assert sorted(store.read) == sorted(set(kept.values()))
    assert list(items.ids) == ["a", "b", "e", "c", "d", "g", "f"]
    assert items.rows.tolist() == [0, 1, 1, 2, 3, 3, 4]
    assert (found.shape, found.dtype) == ((5, 32), np.float32)
    assert np.array_equal(found[items.rows], vectors[[rows[item_id] for item_id in items.ids]])
    titles = items.columns["title"]
    assert [titles.values[code] for code in titles.codes] == [f"title of {item_id}" for item_id in items.ids]
