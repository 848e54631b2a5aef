"""A Parquet table is a catalog, where pyarrow is installed."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from vlm4rec_edge.catalog.reader import open_catalog
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure, Item

pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow: pip install 'vlm4rec-edge[parquet]'")
parquet = pytest.importorskip("pyarrow.parquet")


def _write(path: Path, columns: dict[str, list[object]]) -> Path:
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_numbers_dates_and_nulls_become_text(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "items.parquet",
        {
            "id": [7, 8],
            "image": ["7.jpg", "8.jpg"],
            "title": ["Red coat", None],
            "price": [9.5, float("nan")],
            "since": [datetime.date(2024, 5, 1), None],
            "tags": [["a", "b"], []],
        },
    )
    first, second = open_catalog(path).read()
    assert first == Item(
        "7", tmp_path / "7.jpg", "Red coat", {"price": "9.5", "since": "2024-05-01", "tags": '["a", "b"]'}
    )
    assert second == Item("8", tmp_path / "8.jpg", "", {"price": "", "since": "", "tags": "[]"})
    assert open_catalog(path).columns == ("price", "since", "tags")


def test_a_row_without_id_or_image_is_a_failure_that_names_its_row(tmp_path: Path) -> None:
    path = _write(tmp_path / "items.parquet", {"id": ["1", None, "3"], "image": ["a.jpg", "b.jpg", None]})
    item, no_id, no_image = open_catalog(path).read()
    assert isinstance(item, Item)
    assert isinstance(no_id, Failure)
    assert isinstance(no_image, Failure)
    assert (no_id.where, no_image.where) == ("items.parquet, row 2", "3")


def test_rows_beyond_one_batch_are_all_read_in_order(tmp_path: Path) -> None:
    names = [f"{number}" for number in range(2500)]
    path = _write(tmp_path / "items.parquet", {"id": names, "image": [f"{name}.jpg" for name in names]})
    assert [entry.id for entry in open_catalog(path).read()] == names


def test_a_missing_or_doubled_column_and_an_empty_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="has no column id"):
        open_catalog(_write(tmp_path / "a.parquet", {"sku": ["1"], "image": ["a.jpg"]}))
    with pytest.raises(CatalogError, match="has no rows"):
        open_catalog(
            _write(tmp_path / "b.parquet", {"id": pyarrow.array([], "string"), "image": pyarrow.array([], "string")})
        )
    doubled = pyarrow.table([["1"], ["a.jpg"], ["x"], ["y"]], names=["id", "image", "size", "size"])
    parquet.write_table(doubled, tmp_path / "c.parquet")
    with pytest.raises(CatalogError, match="column 'size' more than once"):
        open_catalog(tmp_path / "c.parquet")


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "pages"])
def test_a_damaged_file_is_a_sentence_that_names_it(tmp_path: Path, damage: str) -> None:
    path = _write(
        tmp_path / "items.parquet", {"id": [f"{n}" for n in range(3000)], "image": [f"{n}.jpg" for n in range(3000)]}
    )
    whole = path.read_bytes()
    middle = whole[:50] + bytes(byte ^ 0x5A for byte in whole[50:2000]) + whole[2000:]
    content = {"empty": b"", "text": b"id,image\n", "truncated": whole[: len(whole) // 2], "pages": middle}[damage]
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"items\.parquet is not a readable Parquet file"):
        list(open_catalog(path).read())
