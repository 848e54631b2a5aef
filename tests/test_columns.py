"""Items as columns: values by code, items by row, numbers where there are some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_store import random_vectors, write_store

from vlm4rec_edge.columns import Column, ItemTable, coded
from vlm4rec_edge.store.reader import StoreReader


@given(st.lists(st.text(max_size=3)))
def test_a_coded_column_says_the_same_as_its_texts(texts: list[str]) -> None:
    column = coded(texts)
    assert ["" if code < 0 else column.values[code] for code in column.codes] == texts
    assert len(set(column.values)) == len(column.values)


def test_what_is_no_finite_number_is_none() -> None:
    column = Column(["40", " 4.5 ", "-1e3", "nan", "inf", "4,5", "1_000", "", "x", "1e999"], np.zeros(0, np.int32))
    np.testing.assert_array_equal(column.numbers, [40, 4.5, -1000, *[np.nan] * 7])


@given(
    st.lists(st.integers(0, 12), max_size=30).map(sorted), st.lists(st.integers(0, 15), max_size=20), st.integers(0, 12)
)
def test_items_are_found_by_row_and_by_id(item_rows: list[int], asked: list[int], row: int) -> None:
    ids = [f"{place:02d}" for place in range(len(item_rows))]
    table = ItemTable(np.array(item_rows, dtype=np.int64), ids, {})
    positions, places = table.positions_at(np.array(asked, dtype=np.int64))
    expected = [
        (at, place) for place, asked_row in enumerate(asked) for at, own in enumerate(item_rows) if own == asked_row
    ]
    assert list(zip(positions.tolist(), places.tolist(), strict=True)) == expected
    rows_of_ids = {**dict(zip(ids, item_rows, strict=True)), "unknown": row, "99": row, "far": 1000}
    assert table.positions_of(rows_of_ids).tolist() == list(range(len(ids)))


def test_the_table_of_a_store_is_ordered_by_row_and_id(tmp_path: Path) -> None:
    entries = [("é", 2), ("b", 0), ("a", 2), ("Z", 2), ("c", 0)]
    folder = write_store(
        tmp_path / "store",
        random_vectors(3),
        entries,
        attributes={"a": {"size": "4", "title": "stands back"}, "b": {"size": "", "brand": "x"}},
        captions={"a": "An a.", "b": "A b."},
    )
    with StoreReader(folder) as store:
        table = store.table()
        assert table is store.table()
    assert list(table.ids) == ["Z", "a", "é", "b", "c"]  # the store numbers vectors as they come
    assert table.rows.tolist() == [0, 0, 0, 1, 1]
    assert table.names == ["id", "title", "caption", "size", "brand"]

    def cells(name: str) -> list[str]:
        column = table.column(name)
        assert column is not None
        return ["" if code < 0 else column.values[code] for code in column.codes]

    assert cells("id") == list(table.ids)
    assert cells("title") == [f"title of {name}" for name in table.ids]
    assert cells("caption") == ["", "An a.", "", "A b.", ""]
    assert (cells("size"), cells("brand")) == (["", "4", "", "", ""], ["", "", "", "x", ""])
    assert table.column("nothing") is None


@pytest.mark.parametrize("items", [[], [("a", 0)]])
def test_small_tables_are_tables(tmp_path: Path, items: list[tuple[str, int]]) -> None:
    with StoreReader(write_store(tmp_path / "store", random_vectors(2), items)) as store:
        assert len(store.table().ids) == len(items)
        assert store.table().positions_at(np.array([0, 1]))[0].tolist() == list(range(len(items)))
