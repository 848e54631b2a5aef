"""What a program holds is a catalog: items from a list or a generator, a data frame of pandas or polars."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import swatches

from vlm4rec_edge import OnnxEncoder, build_index
from vlm4rec_edge.catalog.checks import MAX_CELL_CHARACTERS
from vlm4rec_edge.catalog.reader import open_catalog
from vlm4rec_edge.errors import CatalogError, UsageError
from vlm4rec_edge.items import Failure, Item, UnreadPart
from vlm4rec_edge.store.reader import StoreReader

Columns = dict[Any, list[Any]]


class LikePolars:
    """What is asked of polars, on plain lists."""

    def __init__(self, columns: Columns) -> None:
        self.columns, self._cells = list(columns), list(columns.values())

    def iter_rows(self, *, named: bool) -> Iterator[dict[Any, Any]]:
        assert named
        return (dict(zip(self.columns, row, strict=True)) for row in zip(*self._cells, strict=True))


class LikePandas:
    """What is asked of pandas, on plain lists."""

    def __init__(self, columns: Columns) -> None:
        self._columns, self.columns, self.iloc = columns, list(columns), self

    def __len__(self) -> int:
        return max(map(len, self._columns.values()), default=0)

    def __getitem__(self, rows: slice) -> LikePandas:
        return LikePandas({name: cells[rows] for name, cells in self._columns.items()})

    def to_dict(self, *, orient: str) -> list[dict[Any, Any]]:
        assert orient == "records"
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*self._columns.values(), strict=True)]


@pytest.fixture(params=["pandas", "polars", LikePandas, LikePolars])
def frame(request: pytest.FixtureRequest) -> Callable[[Columns], Any]:
    """What makes a data frame of columns."""
    if request.param == "pandas":
        return lambda columns: pytest.importorskip("pandas").DataFrame(columns)
    if request.param == "polars":
        return lambda columns: pytest.importorskip("polars").DataFrame(columns, strict=False)
    return request.param  # type: ignore[no-any-return]


def _entries(catalog: Any, **settings: Any) -> list[Item | Failure]:
    return list(open_catalog(catalog, **settings).read())


def test_a_data_frame_is_read_as_a_table_is(frame: Callable[[Columns], Any]) -> None:
    catalog = open_catalog(
        frame({"brand": ["Acme", None], "id": [7, 8], "image": ["p/7.jpg", "8.jpg"], "title": [" Red coat", None]})
    )
    assert catalog.columns == ("brand",)
    assert catalog.count() == 2
    assert list(catalog.read()) == [
        Item("7", Path("p/7.jpg"), "Red coat", {"brand": "Acme"}),
        Item("8", Path("8.jpg"), "", {"brand": ""}),
    ]
    assert list(catalog.read()) == list(catalog.read())


def test_whole_numbers_that_a_gap_turned_into_floats_are_their_digits(frame: Callable[[Columns], Any]) -> None:
    first, second, third = _entries(
        frame({"id": [5.0, float("nan"), 10.0], "image": ["a", "b", "c"], "year": [2024.0, 2025.0, None]})
    )
    assert first == Item("5", Path("a"), "", {"year": "2024"})
    assert isinstance(second, Failure)
    assert second.reason == "row 2 of the data frame has no id."
    assert third == Item("10", Path("c"), "", {"year": ""})


def test_values_of_every_kind_become_text(frame: Callable[[Columns], Any]) -> None:
    day = datetime.date(2024, 5, 1)
    columns: Columns = {"id": ["a"], "image": ["a.jpg"], "price": [9.5], "new": [True], "since": [day]}
    columns |= {"tags": [["x", "é"]], "exact": [Decimal("9.50")]}
    (item,) = _entries(frame(columns))
    assert isinstance(item, Item)
    assert item.attributes == {
        "price": "9.5",
        "new": "true",
        "since": "2024-05-01",
        "tags": '["x", "é"]',
        "exact": "9.50",
    }


@pytest.mark.parametrize("value", [True, 5.5, 1e20, b"7"])
def test_an_id_of_another_type_is_a_failure_and_its_neighbours_are_items(
    frame: Callable[[Columns], Any], value: Any
) -> None:
    # In a column of its own, for a data frame keeps a type for each column.
    (failure,) = _entries(frame({"id": [value], "image": ["a"]}))
    assert isinstance(failure, UnreadPart)
    assert failure.where == "row 1 of the data frame"
    assert failure.reason.startswith("row 1 of the data frame cannot be read: ")
    assert "is not an item id" in failure.reason or "holds a value of the type bytes" in failure.reason


def test_a_value_that_stands_for_no_text_is_a_failure_that_names_its_column() -> None:
    first, second, third = _entries(
        LikePandas({"id": [1, 2, 3], "image": ["a", "b", "c"], "photo": ["x", b"\xff", object]})
    )
    assert isinstance(first, Item)
    assert isinstance(second, UnreadPart)
    assert second.reason == (
        "row 2 of the data frame cannot be read: column 'photo' holds a value of the type bytes; give text, a number, a "
        "date or a list."
    )
    assert isinstance(third, UnreadPart)


@pytest.mark.parametrize("value", [{(1, 2): 3}, 10**5000], ids=["keys", "digits"])
def test_what_json_cannot_write_is_a_failure(value: Any) -> None:
    (failure,) = _entries(LikePolars({"id": ["a"], "image": ["a"], "more": [value]}))
    assert isinstance(failure, UnreadPart)
    assert failure.reason.endswith(".")


def test_what_pandas_has_for_a_missing_value_is_empty_text() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {
            "id": pandas.array([5, None], dtype="Int64"),
            "image": pandas.array(["a", "b"], dtype="string"),
            "size": pandas.array(["S", None], dtype="string"),
            "since": pandas.to_datetime(["2024-05-01", None]),
        }
    )
    first, second = _entries(table)
    assert first == Item("5", Path("a"), "", {"size": "S", "since": "2024-05-01 00:00:00"})
    assert isinstance(second, Failure)
    (other,) = _entries(table.assign(id=["7", "8"])[1:])
    assert other == Item("8", Path("b"), "", {"size": "", "since": ""})


def test_rows_beyond_one_chunk_are_all_read_in_order(frame: Callable[[Columns], Any]) -> None:
    names = [f"{number}" for number in range(2500)]
    assert [entry.id for entry in _entries(frame({"id": names, "image": names})) if isinstance(entry, Item)] == names


def test_a_data_frame_without_a_column_or_a_row_is_refused(frame: Callable[[Columns], Any]) -> None:
    with pytest.raises(CatalogError, match=r"^The data frame has no column id; its columns are: sku . image\.$"):
        open_catalog(frame({"sku": ["a"], "image": ["a"]}))
    with pytest.raises(CatalogError, match=r"^The data frame has no rows; there is nothing to index\.$"):
        open_catalog(frame({"id": [], "image": []}))


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(CatalogError, match="has the column '1' more than once"):
        open_catalog(LikePandas({"id": ["a"], "image": ["a"], 1: ["x"], "1": ["y"]}))


def test_photos_are_looked_for_in_the_folder_of_images_and_nowhere_else(
    frame: Callable[[Columns], Any], tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    table = frame({"id": ["a", "b"], "image": ["a.jpg", "../b.jpg"]})
    inside, outside = _entries(table, images=tmp_path / "photos")
    assert inside == Item("a", tmp_path / "photos/a.jpg")
    assert isinstance(outside, Failure)
    assert "lies outside the catalog's folder" in outside.reason
    assert all(isinstance(entry, Item) for entry in _entries(table))
    with pytest.raises(CatalogError, match="does not exist"):
        open_catalog(table, images=tmp_path / "nowhere")


def test_items_of_a_list_are_read_as_often_as_one_likes(tmp_path: Path) -> None:
    given = [Item("a", tmp_path / "a.jpg", " T ", {"title": "x", "id": "y"}), Failure("b", "photo", "It is lost.")]
    catalog = open_catalog(given)
    assert (catalog.path, catalog.columns, catalog.count(), catalog.is_read_once) == (None, None, 2, False)
    assert list(catalog.read()) == list(catalog.read()) == given


def test_a_generator_is_read_once_and_no_more_of_it_than_is_needed() -> None:
    pulled = 0

    def items() -> Iterator[Item]:
        nonlocal pulled
        for number in range(3):
            pulled += 1
            yield Item(str(number), Path("a.jpg"))

    catalog = open_catalog(items())
    assert (catalog.count(), catalog.is_read_once, pulled) == (None, True, 1)
    entries = catalog.read()
    next(entries)
    assert pulled == 1
    # Half of it must not be taken for all of it: the rest would be pruned.
    with pytest.raises(CatalogError, match="from a generator, which was read already"):
        list(catalog.read())
    assert [entry.id for entry in entries if isinstance(entry, Item)] == ["1", "2"]


@pytest.mark.parametrize("empty", [[], (), iter([])], ids=["list", "tuple", "generator"])
def test_no_items_are_no_catalog(empty: Any) -> None:
    with pytest.raises(CatalogError, match="has no items"):
        open_catalog(empty)


def test_what_an_item_holds_may_be_numbers() -> None:
    item = Item(np.int64(7), "7.jpg", None, {"price": 9.5, "year": np.float32(2024), 3: None})  # type: ignore[arg-type, dict-item]
    assert _entries([item]) == [Item("7", Path("7.jpg"), "", {"price": "9.5", "year": "2024", "3": ""})]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("a.jpg", "item 2 of the catalog cannot be read: 'str' object has no attribute 'id'."),
        ({"id": "a"}, "item 2 of the catalog cannot be read: 'dict' object has no attribute 'id'."),
        (Item("  ", Path("a.jpg")), "item 2 of the catalog has no id."),
        (Item(None, Path("a.jpg")), "item 2 of the catalog has no id."),  # type: ignore[arg-type]
        (Item(True, Path("a.jpg")), "item 2 of the catalog cannot be read: True (bool) is not an item id"),  # type: ignore[arg-type]
        (Item("a", 7), "item 2 of the catalog cannot be read: expected str, bytes or os.PathLike object"),  # type: ignore[arg-type]
        (Item("a", None), "item 2 of the catalog names no image."),  # type: ignore[arg-type]
        (Item("a\nb", Path("a.jpg")), "The id 'a\\nb' holds control characters."),
        (Item("a", Path("a.jpg"), "", 7), "item 2 of the catalog cannot be read: 'int' object has no attribute"),  # type: ignore[arg-type]
        (Item("a", Path("a.jpg"), "x" * (MAX_CELL_CHARACTERS + 1)), "item 2 of the catalog, column title, has more"),
    ],
)
def test_an_item_that_cannot_be_used_is_a_failure_and_its_neighbours_are_items(given: Any, reason: str) -> None:
    first, failure, third = _entries([Item("1", Path("1.jpg")), given, Item("3", Path("3.jpg"))])
    assert isinstance(first, Item)
    assert isinstance(third, Item)
    assert isinstance(failure, Failure)
    assert failure.reason.startswith(reason)
    assert failure.reason.endswith(".")


@pytest.mark.parametrize("given", [None, 7, b"photos", object()])
def test_what_is_no_catalog_is_an_error_with_a_sentence(given: Any) -> None:
    with pytest.raises(UsageError, match=rf"^A {type(given).__name__} is not a catalog; give the path of a folder"):
        open_catalog(given)


def test_an_open_catalog_is_returned_as_it_is() -> None:
    catalog = open_catalog([Item("a", Path("a.jpg"))])
    assert open_catalog(catalog) is catalog


def test_every_kind_of_catalog_becomes_the_same_index(tmp_path: Path, encoder: OnnxEncoder) -> None:
    photos = swatches(tmp_path / "photos", 3)
    columns = {"id": [1, 2, 3], "image": [str(path) for path in photos], "title": ["red", "green", "blue"]}
    items = [Item(*each) for each in zip(*columns.values(), strict=True)]
    table = tmp_path / "photos" / "items.csv"
    table.write_text("id,image,title\n" + "".join(f"{item.id},{item.image},{item.title}\n" for item in items))
    catalogs = [table, items, iter(items), LikePandas(columns), LikePolars(columns)]
    found = []
    for number, catalog in enumerate(catalogs):
        folder = tmp_path / str(number)
        report = build_index(catalog, folder, encoder=encoder, encoded_text="title", prune=True)
        assert (report.items, report.progress.failed) == (3, 0)
        with StoreReader(folder) as store:
            found.append((list(store.items()), store.vectors.tobytes()))
    assert found == found[:1] * len(catalogs)


def test_nothing_is_pruned_because_a_row_could_not_be_read(tmp_path: Path, encoder: OnnxEncoder) -> None:
    photo = swatches(tmp_path / "photos", 1)[0]
    items = [Item("a", photo, "red"), Item("b", photo, "green")]
    build_index(items, tmp_path / "i", encoder=encoder, encoded_text="title")
    report = build_index(
        [items[0], Item("b", photo, b"green")],  # type: ignore[arg-type]
        tmp_path / "i",
        encoder=encoder,
        encoded_text="title",
        prune=True,
    )
    assert (report.items, report.unread, report.removed) == (2, 1, 0)


def test_an_item_may_have_several_photos_each_held_to_the_folder_of_images(tmp_path: Path) -> None:
    several = Item("a", Path("1.jpg"), more_photos=(Path("2.jpg"), Path("3.jpg")))
    assert _entries([several], images=tmp_path) == [
        Item("a", tmp_path / "1.jpg", more_photos=(tmp_path / "2.jpg", tmp_path / "3.jpg"))
    ]
    assert several.photos == (Path("1.jpg"), Path("2.jpg"), Path("3.jpg"))
    item, failure = _entries([Item("a", Path("1.jpg"), more_photos=(Path("../2.jpg"),))], images=tmp_path)
    assert (item, isinstance(failure, Failure)) == (Item("a", tmp_path / "1.jpg"), True)
    assert "lies outside" in failure.reason  # type: ignore[union-attr]


class _Size(str, enum.Enum):  # noqa: UP042 (str of it is its name, that of a StrEnum its text)
    """What programs keep their constants in."""

    SMALL = "s"


def test_ids_of_items_are_read_as_those_of_tables_are(tmp_path: Path) -> None:
    """Without spaces at their ends; a text of an enumeration is the text it is."""
    table = tmp_path / "t.csv"
    table.write_text('id,image\n" x ",a.jpg\n', encoding="utf-8")
    (from_table,) = open_catalog(table).read()
    assert isinstance(from_table, Item)
    given = [Item(" x ", Path("a.jpg")), Item(_Size.SMALL, Path("a.jpg"), _Size.SMALL)]
    assert _entries(given) == [Item(from_table.id, Path("a.jpg")), Item("s", Path("a.jpg"), "s")]


def test_a_list_of_dicts_is_read_as_rows(tmp_path: Path) -> None:
    rows = [
        {"ID": 7, "image": "7.jpg", "price": 9.5},
        {"ID": " b ", "image": "b.jpg", "title": "T"},
        None,
        {"ID": "c", "image": b"c.jpg"},
        {"image": "d.jpg"},
    ]
    catalog = open_catalog(rows, images=tmp_path)
    first, second, *failures = catalog.read()
    assert catalog.columns == ("price",)
    assert first == Item("7", tmp_path / "7.jpg", "", {"price": "9.5"})
    assert second == Item("b", tmp_path / "b.jpg", "T")
    assert [str(failure.reason) for failure in failures if isinstance(failure, UnreadPart)] == [
        "row 3 of the list cannot be read: 'NoneType' object has no attribute 'items'.",
        "row 4 of the list cannot be read: column 'image' holds a value of the type bytes; give text, a number, a date or a "
        "list.",
        "row 5 of the list has no id.",
    ]


def test_dicts_that_are_no_rows_are_refused_before_an_index_is_made(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"The list of rows .*image"):
        build_index([{"id": "a", "photo_of_it": "a.jpg"}], tmp_path / "x.index")
    with pytest.raises(CatalogError, match="give a list of them, not a generator"):
        build_index(({"id": "a", "image": "a.jpg"} for _ in range(2)), tmp_path / "x.index")
    assert not (tmp_path / "x.index").exists()
