"""A CSV table is a catalog; a bad row spoils itself and no other."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm4rec_edge.catalog.checks import MAX_CELL_CHARACTERS, MAX_ID_CHARACTERS
from vlm4rec_edge.catalog.reader import open_catalog
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure, Item, UnreadPart


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
        (b"2,b.jpg,\xc3\xa9 and caf\xe9", "is not UTF-8"),
        (b'2,b.jpg,"13" screen', "has text behind a closing quote"),
        (b'2,b.jpg,"13 screen', "has a quote that is not closed"),
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


@pytest.mark.parametrize(
    ("rows", "lost", "reason"),
    [
        # One quote is missing: up to the end of the table, up to the next quote, up to one at the end of a cell.
        ('1,a.jpg,"open\n2,b.jpg,B\n3,c.jpg,C\n', "1", "line 2 has a quote that is not closed"),
        ('1,a.jpg,"13"" screen\n2,b.jpg,B\n3,c.jpg,C\n', "1", "line 2 has a quote that is not closed"),
        ('1,a.jpg,A\n2,b.jpg,"B\n3,c.jpg,C\n4,d.jpg,"D"\n5,e.jpg,E\n', "2", "line 3 has a quote that is not closed"),
        (
            '1,a.jpg,A\n2,b.jpg,"B\n3,c.jpg,C\n4,d.jpg,"\n',
            "24",
            "line 3 holds what looks like further rows, at line 4",
        ),
        (
            '1,a.jpg,A\n"2,b.jpg,B\n3,c.jpg,C\n4,d.jpg,D"\n',
            "2",
            "line 3 has 1 cells, the header has 3; is a quote missing?",
        ),
    ],
)
def test_a_missing_quote_costs_its_own_row_and_none_of_those_below_it(
    tmp_path: Path, rows: str, lost: str, reason: str
) -> None:
    items, failures = _read(tmp_path, f"id,image,title\n{rows}")
    assert {item.id for item in items} == {row[0] for row in rows.replace('"', "").splitlines()} - {*lost}
    assert isinstance(failures[0], UnreadPart), "which items stand there cannot be told, so nothing may be pruned"
    assert reason in failures[0].reason


def test_an_id_that_quotes_spread_over_lines_is_told_and_blocks_pruning(tmp_path: Path) -> None:
    rows = '1,a.jpg,A\n",""\n""2","b.jpg","B"\n3,c.jpg,C\n'
    items, failures = _read(tmp_path, f"id,image,title\n{rows}")
    assert [item.id for item in items] == ["1", "3"]
    assert [failure.where for failure in failures] == ["items.csv, line 3", "items.csv, line 4"]
    assert all(isinstance(failure, UnreadPart) for failure in failures)
    assert "line 3 has an id of several lines" in failures[0].reason
    kept, failures = _read(tmp_path, 'id,image,title\n"1\n",a.jpg,A\n')
    assert ([item.id for item in kept], failures) == (["1"], [])


def test_a_description_of_many_lines_is_no_further_row(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, 'id,image,title\n1,a.jpg,"Soft,\nwarm, light, nice\n2, 3 and 4"\n2,b.jpg,B\n')
    assert ([item.title for item in items], failures) == (["Soft,\nwarm, light, nice\n2, 3 and 4", "B"], [])


def test_a_table_of_nothing_but_open_quotes_ends_soon_and_says_that_its_rest_is_not_read(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, "id,image,title\n0,a.jpg,A\n" + 'x","' * 5 + "\n" + 'x,a.jpg,"b\n' * 30_000)
    assert [item.id for item in items][:1] == ["0"]
    assert "all lines below it are not read" in failures[-1].reason
    assert isinstance(failures[-1], UnreadPart)


DESCRIPTION_LINES = [
    "Soft, warm, light, and nice to wear.",
    '<p class="new" style="margin:0,0">A red coat, <a href="https://shop.example/a.jpg">seen here</a>, lined.</p>',
    '<img src="https://shop.example/a.jpg" alt="coat, red" style="font-family:Arial,Helvetica">',
    "<ul><li>Cotton, 95%</li>",
    "- Machine wash, 30 degrees, no bleach",
    "Maße: 3,5 x 2,0 x 1,5 cm, rot, z.B. für innen",
    "Sizes:,S,M,L,XL,",
    "1. Cut, 2. sew, 3. wear",
    'He said "wow, nice", twice; see www.shop.example, or write to a@shop.example.',
    "",
]


@settings(max_examples=100, derandomize=True)
@given(st.lists(st.lists(st.sampled_from(DESCRIPTION_LINES), min_size=1, max_size=8), min_size=1), st.integers(0, 9))
def test_descriptions_of_many_lines_are_no_further_rows(
    tmp_path_factory: pytest.TempPathFactory, descriptions: list[list[str]], further: int
) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["id", "image", "title", *map(str, range(further))])
    for number, lines in enumerate(descriptions):
        writer.writerow([number, f"{number}.jpg", "\n".join(lines), *["a, b"] * further])
    items, failures = _read(tmp_path_factory.mktemp("table"), stream.getvalue())
    assert failures == []
    assert [item.title for item in items] == ["\n".join(lines).strip() for lines in descriptions]


def test_photos_on_lines_of_their_own_are_no_further_rows(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, 'id,image,title\n1,"a.jpg,\nb.jpg",A\n2,"c.jpg\nd.jpg",B\n')
    assert ([[photo.name for photo in item.photos] for item in items], failures) == (
        [["a.jpg", "b.jpg"], ["c.jpg", "d.jpg"]],
        [],
    )


def test_an_empty_cell_behind_the_last_column_hides_no_cell_that_a_quote_split(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, 'title,id,image\n"a,"b",1,1.jpg\n"",x",2,2.jpg,\nC,3,3.jpg\n')
    assert [item.id for item in items] == ["3"]
    assert ["line 2" in failures[0].reason, "line 3 has 5 cells" in failures[1].reason] == [True, True]


def test_a_row_whose_quotes_make_one_cell_of_its_id_and_its_photo_is_told(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, 'id,image,title,note\n"0,0.jpg,",1,1",\n1,1.jpg,A,\n"2,5",2.jpg,B,\n')
    assert [item.id for item in items] == ["1", "2,5"]
    assert "line 2 has an id that holds what looks like further cells; is a quote missing?" in failures[0].reason


@pytest.mark.parametrize("row", ['T2",2.jpg,two', 'T"2,2.jpg,two', 'T2,2.jpg",two', 'T2",2.jpg,"two ""2"""'])
def test_a_quote_that_is_left_over_in_an_id_or_a_photo_is_told_and_blocks_pruning(tmp_path: Path, row: str) -> None:
    items, (failure,) = _read(tmp_path, f"id,image,title\n1,1.jpg,one\n{row}\n3,3.jpg,three\n")
    assert [item.id for item in items] == ["1", "3"]
    assert isinstance(failure, UnreadPart)
    assert "line 3 has a quote in its id or its photo" in failure.reason
    kept, failures = _read(tmp_path, 'id,image,title\n"a ""b""",1.jpg,15" screen\n')
    assert ([item.id for item in kept], failures) == (['a "b"'], [])


CELLS = st.text(st.sampled_from('ab1 ",;\n\t.'), max_size=6)
ORDERS = (
    ("id", "image", "title", "note"),
    ("title", "id", "image", "note"),
    ("image", "title", "note", "id"),
    ("id", "title", "image"),
)


@settings(max_examples=600, derandomize=True)
@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8),
    st.sampled_from(ORDERS),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(",;\t"),
    st.data(),
)
def test_no_row_of_a_broken_table_vanishes_unnamed(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    order: Sequence[str],
    quoting: Literal[0, 1],
    separator: str,
    data: st.DataObject,
) -> None:
    """A good table gets stray quotes, added anywhere or in the place of a character: every row is an item or is named.

    An item is that of a row if its id or its photo is, apart from quotes.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, lineterminator="\n", quoting=quoting)
    writer.writerow(order)
    begin, starts = stream.tell(), list[int]()
    for number, (title, note) in enumerate(rows):
        starts.append(stream.getvalue().count("\n") + 1)
        cells = {"id": f"i{number}", "image": f"{number}.jpg", "title": title, "note": note}
        writer.writerow([cells[column] for column in order])
    text = stream.getvalue()
    for place, is_added in data.draw(
        st.lists(st.tuples(st.integers(begin, len(text) - 1), st.booleans()), max_size=3), label="quotes"
    ):
        if is_added or text[place] != "\n":
            text = f'{text[:place]}"{text[place + (not is_added) :]}'
    items, failures = _read(tmp_path_factory.mktemp("table"), text)
    told = [int(match[1]) for each in failures if (match := re.search(r"line (\d+)", f"{each.where} {each.reason}"))]
    for number, (start, end) in enumerate(pairwise([*starts, math.inf])):
        is_item = any(
            _is(item.id, f"i{number}") or any(_is(photo.name, f"{number}.jpg") for photo in item.photos)
            for item in items
        )
        assert is_item or any(start <= line < end for line in told), (number, text, items, failures)


def _is(read: str, written: str) -> bool:
    """Whether a text is what was written, but for quotes that were added or took the place of characters."""
    return re.fullmatch('"*' + "".join(f'(?:{re.escape(character)}|")"*' for character in written), read) is not None


def test_rows_of_one_id_are_one_item_with_all_their_photos(tmp_path: Path) -> None:
    content = "id,image,title,size\n1,a.jpg,Tee,S\n1,b.jpg,,M\n1,a.jpg,Shirt,\n1,,,\n2,c.jpg,Cap,\n1,d.jpg,Tee,\n"
    items, failures = _read(tmp_path, content)
    assert items == [
        Item("1", tmp_path / "a.jpg", "Tee", {"size": "S"}, (tmp_path / "b.jpg",)),
        Item("2", tmp_path / "c.jpg", "Cap", {"size": ""}),
        Item("1", tmp_path / "d.jpg", "Tee", {"size": ""}),
    ]
    assert failures == []
    catalog = open_catalog(tmp_path / "items.csv")
    assert catalog.count() == 3
    assert "3 rows are further rows of the item above" in " ".join(catalog.notes())


def test_an_item_takes_its_photo_from_the_first_row_that_has_one(tmp_path: Path) -> None:
    items, failures = _read(tmp_path, "id,image,title\n1,,Tee\n1,b.jpg,\n2,,\n")
    assert items == [Item("1", tmp_path / "b.jpg", "Tee")]
    assert [(failure.where, failure.reason) for failure in failures] == [("2", "items.csv, line 4 names no image.")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty; its first line must name the columns"),
        (b"\n\n  \n", r"has no column id"),
        (b"id,image\n", r"has no rows"),
        (b"id,image\n\n\n", r"has no rows"),
        (
            b"sku,image\n1,a.jpg\n",
            r"has no column id; say which with --id-column; its columns, separated by commas, are: sku . image",
        ),
        (b"id,picture\n1,a.jpg\n", r"has no column image"),
        (
            b"article;foto\n1;a.jpg\n",
            r"no column id and no column image.* separated by semicolons, are: article . foto\.",
        ),
        (b"id,image,size,size\n1,a.jpg,2,3\n", r"the column 'size' more than once"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00 a photo by mistake", r"cannot be read: line 1 is not UTF-8"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_at_once(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=message) as caught:
        open_catalog(path)
    assert str(path) in str(caught.value)
