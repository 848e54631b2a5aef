"""A table of interactions is read whole, in any of the three formats; a row that cannot be used is told, not guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.interactions import InteractionColumns, Interactions, read_interactions

RECORDS = [
    {"user_id": "ann", "item_id": "0007", "date": "2020-09-22", "weight": 2.5},
    {"user_id": "bob", "item_id": "shoe", "date": "2020-09-21", "weight": 1},
    {"user_id": "ann", "item_id": "shoe", "date": "2021-01-01", "weight": 4},
]


def written(path: Path, records: list[dict[str, object]]) -> Path:
    if path.suffix == ".csv":
        lines = [",".join(records[0]), *(",".join(map(str, record.values())) for record in records)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(records), path)
    return path


def triples(interactions: Interactions) -> list[tuple[str, str, float]]:
    return [
        (interactions.users[user], interactions.items[item], weight)
        for user, item, weight in zip(interactions.user, interactions.item, interactions.weight, strict=True)
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_interactions(tmp_path: Path, suffix: str) -> None:
    read, failures = read_interactions(written(tmp_path / f"table{suffix}", RECORDS))
    assert failures == []
    assert triples(read) == [("ann", "0007", 2.5), ("bob", "shoe", 1.0), ("ann", "shoe", 4.0)]
    assert np.diff(read.date) == pytest.approx([-1, 102])


def test_without_a_weight_every_interaction_weighs_one(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("user_id,item_id,date,weight\nann,a,2020-01-01,\nann,b,2020-01-01,3\n")
    assert read_interactions(table)[0].weight.tolist() == [1, 3]
    table.write_text("user_id,item_id,date\nann,a,2020-01-01\n")
    assert read_interactions(table)[0].weight.tolist() == [1]


def test_dates_may_have_a_time_and_a_zone(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    moments = ["2020-01-01", "2020-01-01T01:00:00", "2020-01-01T01:00:00Z", "2020-01-01T01:00:00+02:00"]
    table.write_text("user_id,item_id,date\n" + "".join(f"ann,a,{moment}\n" for moment in moments))
    date = read_interactions(table)[0].date
    assert ((date - date[0]) * 24).tolist() == pytest.approx([0, 1, 1, -1], abs=1e-6)


def test_numbers_as_dates_are_ordered_as_numbers(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("user_id,item_id,date\nann,a,978300760\nann,b,1046454590\nann,c,9\n")
    assert read_interactions(table)[0].date.tolist() == [978300760, 1046454590, 9]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",shoe,2020-01-02", "line 3 has no user_id"),
        ("bob,,2020-01-02", "line 3 has no item_id"),
        ("bob,shoe,", "line 3 has no date"),
        ("bob,shoe,22.09.2020", "line 3 has the date '22.09.2020'; write it as 2020-09-22"),
        ("bob,shoe,1600000000", "line 3 has a number, '1600000000', as its date; the rows before it have dates"),
        ("bob,shoe,nan", "line 3 has the date 'nan'"),
        ("bob,shoe,2020-01-02,-1", "line 3 has 4 cells, the header has 3"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_and_the_rest_is_read(tmp_path: Path, row: str, reason: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"user_id,item_id,date\nann,shoe,2020-01-01\n{row}\nbob,shirt,2020-01-03\n")
    read, failures = read_interactions(table)
    assert triples(read) == [("ann", "shoe", 1.0), ("bob", "shirt", 1.0)]
    (failure,) = failures
    assert reason in failure.reason


@pytest.mark.parametrize("weight", ["0", "-2", "inf", "nan", "much"])
def test_a_weight_is_a_number_above_zero(tmp_path: Path, weight: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"user_id,item_id,date,weight\nann,a,2020-01-01,{weight}\nann,b,2020-01-01,1\n")
    read, (failure,) = read_interactions(table)
    assert read.items == ("b",)
    assert f"has the weight '{weight}'; a weight is a number above zero" in failure.reason


def test_a_weight_with_a_comma_is_told_how_to_write_it(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("user_id;item_id;date;weight\nann;a;2020-01-01;3,5\nann;b;2020-01-01;1\n")
    _, (failure,) = read_interactions(table)
    assert "has the weight '3,5'; a weight is a number above zero, written with a point: 3.5" in failure.reason


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("table.xlsx", "x", "is not a table: give a file that ends in .csv, "),
        (
            "table.csv",
            "who,item_id,date\na,b,2020-01-01\n",
            "has no column user_id; interactions have .* --user-column",
        ),
        ("table.csv", "user_id,item_id,date\n", "has no usable interaction"),
        ("table.csv", "", "is empty; its first line must name the columns"),
        ("table.jsonl", '{"user": "a"}\n', "has no usable interaction. The first row .* has no user_id"),
    ],
)
def test_a_file_without_interactions_is_an_error_that_says_why(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CatalogError, match=message):
        read_interactions(tmp_path / name)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read"):
        read_interactions(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "header", "note"),
    [
        ("a.csv", "userId,movieId,timestamp", "as ratings of MovieLens (userId as user"),
        ("a.inter", "user_id:token\titem_id:token\ttimestamp:float", "as interactions with timestamps"),
        ("a.csv", "customer_id,article_id,t_dat", "as purchases of H&M"),
        ("a.csv", "user,item,date", "as interactions of users with items"),
        ("a.csv", "User ID;Item-ID;DATE", "separated by semicolons"),
        ("a.tsv", "user_id\titem_id\tdate", ""),
    ],
)
def test_the_columns_of_known_data_sets_are_found_and_said(tmp_path: Path, name: str, header: str, note: str) -> None:
    separator = next(each for each in ",;\t" if each in header)
    rows = [separator.join(row) for row in (("ann", "a", "1700000000"), ("bob", "b", "1700000001"))]
    (tmp_path / name).write_text("\n".join([header, *rows]))
    read, failures = read_interactions(tmp_path / name)
    assert (triples(read), failures) == ([("ann", "a", 1.0), ("bob", "b", 1.0)], [])
    assert note in " ".join(read.notes)
    assert bool(read.notes) == bool(note)


def test_columns_of_any_name_can_be_given(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("who,what,when,rating\nann,a,2020-01-01,4\n")
    columns = InteractionColumns(user="who", item="what", date="when")
    read, _ = read_interactions(table, columns)
    assert (triples(read), read.has_weights) == ([("ann", "a", 1.0)], False)
    assert read.notes == ("The column rating is not read; --weight-column rating makes it the weight.",)
    read, _ = read_interactions(table, replace(columns, weight="rating"))
    assert (triples(read), read.has_weights, read.notes) == ([("ann", "a", 4.0)], True, ())
    with pytest.raises(
        CatalogError, match=r"no column user_id and no column item_id and no column date; .* --user-column"
    ):
        read_interactions(table)
    with pytest.raises(CatalogError, match="has no column score; "):
        read_interactions(table, replace(columns, weight="score"))


def test_a_missing_quote_hides_no_interactions(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text('user_id,item_id,date\nann,a,2020-01-01\n"bob,b,2020-01-02\neve,c,2020-01-03\nann,d,2020-01-04"\n')
    read, failures = read_interactions(table)
    assert [item for _, item, _ in triples(read)][:2] == ["a", "c"]
    assert "line 3" in failures[0].reason


@pytest.mark.parametrize(
    ("dates", "days"),
    [
        (["2024-01-01", "2024-01-01T09:00", "2024-01-02T00:00Z"], [19723, 19723, 19724]),
        # The day is the one that is written, wherever the shop is.
        (["2024-01-01T23:30:00-05:00", "2024-01-02T00:30:00-05:00", "2024-01-01T00:10+02:00"], [19723, 19724, 19723]),
        (["1704067200", "1704153599", "1704153600"], [19723, 19723, 19724]),
        (["1704067200000", "1704153599999", "1704153600000"], [19723, 19723, 19724]),
        (["1704067200000000", "1704153599999999", "1704153600000000"], [19723, 19723, 19724]),
        (["20240101", "20240101", "20240102"], [20240101, 20240101, 20240102]),
        (["1", "2", "3"], [1, 2, 3]),
    ],
)
def test_a_day_is_a_calendar_day_however_dates_are_written(tmp_path: Path, dates: list[str], days: list[int]) -> None:
    table = tmp_path / "table.csv"
    table.write_text("user_id,item_id,date\n" + "".join(f"ann,a,{date}\n" for date in dates))
    read, failures = read_interactions(table)
    assert (read.days.tolist(), failures) == (days, [])


def test_dates_may_be_whole_numbers_and_there_may_be_none() -> None:
    of_users = {"users": ("ann",), "items": ("a",), "weight": np.ones(2)}
    row = np.zeros(2, np.int32)
    assert Interactions(**of_users, user=row, item=row, date=np.array([3, 4])).days.tolist() == [3, 4]
    assert Interactions(**of_users, user=row[:0], item=row[:0], date=np.zeros(0)).days.tolist() == []
