"""A CSV table is a catalog; a bad row spoils itself and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm4rec_edge.catalog.reader import MAX_CELL_CHARACTERS, MAX_ID_CHARACTERS, open_catalog
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure, Item


def _read(folder: Path, content: str | bytes) -> tuple[list[Item], list[Failure]]:
    path = folder / "items.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    entries = list(open_catalog(path).read())
    return (
        [entry for entry in entries if isinstance(entry, Item)],
        [entry for entry in entries if isinstance(entry, Failure)],
    )


def test_columns_become_id_image_title_and_attributes(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, "id,brand,image,title,price\n7,Acme,p/7.jpg,Red coat,9.50\n")
    assert items == [Item("7", tmp_path / "p/7.jpg", "Red coat", {"brand": "Acme", "price": "9.50"})]
    assert failures == []
    assert open_catalog(tmp_path / "items.csv").columns == ("brand", "price")


def test_a_title_is_not_needed_and_spaces_around_cells_do_not_count(tmp_path: Path) -> None:
    items, _ = _read(tmp_path, "image , id\n 7.jpg , 7 \n")
    assert items == [Item("7", tmp_path / "7.jpg")]


def test_the_mark_that_excel_writes_at_the_start_is_no_part_of_a_column(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, b"\xef\xbb\xbfid,image\r\na,a.jpg\r\n")
    assert ([item.id for item in items], failures) == (["a"], [])


def test_quotes_hold_commas_line_breaks_and_quotes(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, 'id,image,title\n1,a.jpg,"Red, ""new""\ncoat"\n2,b.jpg,Blue\n')
    assert [item.title for item in items] == ['Red, "new"\ncoat', "Blue"]
    assert failures == []


def test_blank_lines_are_skipped_and_a_failure_names_the_true_line(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, "\nid,image\n\n1,a.jpg\n\n\n2\n3,c.jpg\n")
    assert [item.id for item in items] == ["1", "3"]
    assert [failure.where for failure in failures] == ["items.csv, line 7"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"2", "has 1 cells, the header has 3"),
        (b"2,b.jpg,Title,more", "has 4 cells, the header has 3"),
        (b",b.jpg,Title", "has no id"),
        (b"   ,b.jpg,Title", "has no id"),
        (b"2,,Title", "names no image"),
        (b"2,b.jpg,caf\xe9", "is not UTF-8"),
        (b"2,b.jpg,a\x00b", "NUL"),
        (b'2,b.jpg,"a\x1bb\x00"', "NUL"),
        (b"a\x1b[2Jb,b.jpg,Title", "control characters"),
        (b"x" * (MAX_ID_CHARACTERS + 1) + b",b.jpg,Title", "more than 512 characters"),
        (b"2,b.jpg," + b"x" * (MAX_CELL_CHARACTERS + 1), "more than 100,000 characters"),
        (b"2,b\x0b" + b"b" * 5000 + b".jpg,Title", ""),
    ],
)
def test_a_bad_row_is_a_failure_and_its_neighbours_are_items(tmp_path: Path, row: bytes, reason: str) -> None:
    content = b"id,image,title\n1,a.jpg,First\n" + row + b"\n3,c.jpg,Third\n"
    items, failures = _read(tmp_path, content)
    if reason:
        assert [item.id for item in items] == ["1", "3"]
        assert len(failures) == 1
        assert reason in failures[0].reason
        assert failures[0].where in {"items.csv, line 3", "2"}
        assert failures[0].stage == "catalog"
    assert {"1", "3"} <= {item.id for item in items}


def test_a_quote_that_never_closes_is_one_failure_or_one_long_cell_but_never_an_error(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, 'id,image,title\n1,a.jpg,First\n2,b.jpg,"open\n3,c.jpg,Third\n')
    assert [item.id for item in items][:1] == ["1"]
    assert len(items) + len(failures) == 2


def test_an_id_that_is_given_twice_is_left_to_the_run(tmp_path: Path) -> None:
    items, _ = _read(tmp_path, "id,image\n1,a.jpg\n1,b.jpg\n")
    assert [item.image.name for item in items] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty; its first line must name the columns"),
        (b"\n\n  \n", r"has no column id"),
        (b"id,image\n", r"has no rows"),
        (b"id,image\n\n\n", r"has no rows"),
        (b"sku,image\n1,a.jpg\n", r"has no column id; its columns are sku, image"),
        (b"id,picture\n1,a.jpg\n", r"has no column image"),
        (b"id;image\n1;a.jpg\n", r"has no column id and no column image; its columns are id;image"),
        (b"id,image,size,size\n1,a.jpg,2,3\n", r"the column 'size' more than once"),
        (b"id,image,\n1,a.jpg,\n", ""),
        ("id,image\n1,a.jpg\n".encode("utf-16"), r"ave the table as UTF-8"),
        ("id,image\n1,a.jpg\n".encode("utf-16-le"), r"first line .* can not be read"),
        (b"\xff\xd8\xff\xe0 a photo by mistake", r"not UTF-8"),
    ],
)
def test_a_table_that_can_not_be_meant_is_refused_at_once(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(content)
    if not message:
        assert [entry.id for entry in open_catalog(path).read() if isinstance(entry, Item)] == ["1"]
        return
    with pytest.raises(CatalogError, match=message) as caught:
        open_catalog(path)
    assert str(path) in str(caught.value)
