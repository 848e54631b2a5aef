"""After half of the items were exchanged, the graph finds as much as one built anew, and the file is no larger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_store import EncodingWriter
from running.stand_ins import MadeVectors

from vlm4rec_edge.index import files, load_index, refresh
from vlm4rec_edge.index.exact import ExactIndex
from vlm4rec_edge.items import Item
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.reader import StoreReader

_ITEMS, _DIMENSIONS, _QUERIES, _NEIGHBOURS = 4_000, 48, 200, 10


def _write(folder: Path, names: range, *, compact: bool = False) -> None:
    """Make the index hold these items and no others."""
    with (
        MadeVectors(_DIMENSIONS) as encoder,
        EncodingWriter(folder, grounding=None, encoder=encoder, encoded_text="title") as store,
    ):
        for start in range(names.start, names.stop, 1000):
            texts = [f"kind{name % 200} product {name}" for name in range(start, min(start + 1000, names.stop))]
            store.put([GroundedItem(Item(text, Path("none.jpg"), text), "", None, "", "", text) for text in texts])
        store.prune()
        if compact:
            store.compact(force=True)
    with StoreReader(folder) as reader:
        refresh(reader, exact_limit=0)


def _recall(folder: Path) -> float:
    """Share of the nearest living items that the graph finds, when it is asked as the recommender asks it."""
    with StoreReader(folder) as store:
        living = np.array([row for (row,) in store.query("SELECT vector_row FROM items ORDER BY vector_row")])
        exact, graph = ExactIndex(np.asarray(store.vectors[living])), load_index(store)
        assert graph is not None
        found = 0
        for query in store.vectors[living[:: len(living) // _QUERIES]]:
            expected = set(living[exact.top(query, _NEIGHBOURS)[0]].tolist())
            found += len(expected & set(_first_living(graph.top, query, set(living.tolist()))))
    return found / (_NEIGHBOURS * len(living[:: len(living) // _QUERIES]))


def _first_living(top: object, query: np.ndarray, living: set[int]) -> Iterator[int]:
    looked_at = _NEIGHBOURS
    while True:
        rows = [row for row in top(query, looked_at)[0].tolist() if row in living]  # type: ignore[operator]
        if len(rows) >= _NEIGHBOURS:
            return iter(rows[:_NEIGHBOURS])
        looked_at *= 4


def test_recall_after_half_was_exchanged_is_that_of_a_fresh_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "TAIL_ROWS", 100)
    churned, fresh = tmp_path / "churned", tmp_path / "fresh"
    for step in range(6):  # ten items in a hundred at a time, so that the graph grows again and again
        shift = step * _ITEMS // 10
        _write(churned, range(shift, _ITEMS + shift))
    _write(fresh, range(_ITEMS // 2, _ITEMS + _ITEMS // 2))
    expected = _recall(fresh)
    assert _vector_bytes(churned) == 1.5 * _vector_bytes(fresh)
    assert _recall(churned) >= expected - 0.01

    _write(churned, range(_ITEMS // 2, _ITEMS + _ITEMS // 2), compact=True)
    assert _vector_bytes(churned) == _vector_bytes(fresh)
    assert _recall(churned) >= expected - 0.01


def _vector_bytes(folder: Path) -> int:
    (path,) = folder.glob("vectors-*.f32")
    return path.stat().st_size


def test_compaction_happens_by_itself_when_a_fifth_is_left_over(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    _write(folder, range(1000))
    with MadeVectors(_DIMENSIONS) as encoder:
        for gone, compacted in ((0, 0), (180, 0), (300, 300)):
            with EncodingWriter(folder, grounding=None, encoder=encoder, encoded_text="title") as store:
                texts = [f"kind{name % 200} product {name}" for name in range(gone, 1000)]
                store.put([GroundedItem(Item(t, Path("none.jpg"), t), "", None, "", "", t) for t in texts])
                store.prune()
                assert store.compact() == compacted
