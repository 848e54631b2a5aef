"""Histories are read from one row a user or one row an interaction, from any format, the oldest item first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlm4rec_edge.batch.histories import open_histories
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure
from vlm4rec_edge.recommend.history import History


def _write(path: Path, records: list[dict[str, object]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(records), path)
    else:
        rows = [",".join(records[0])]
        for record in records:
            cells = [",".join(cell) if isinstance(cell, list) else str(cell) for cell in record.values()]
            rows.append(",".join(f'"{cell}"' for cell in cells))
        path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_one_row_a_user(tmp_path: Path, suffix: str) -> None:
    records = [{"user_id": "ann", "history": ["a", "007", "a"]}, {"user_id": "bob", "history": ["b"]}]
    histories = open_histories(_write(tmp_path / f"table{suffix}", records))
    assert histories.count == 2
    assert list(histories.read()) == [History("ann", ["a", "007", "a"]), History("bob", ["b"])]
    assert list(histories.read()) == list(histories.read()), "each pass is a fresh one"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_one_row_an_interaction_wherever_the_rows_of_a_user_lie(tmp_path: Path, suffix: str) -> None:
    records = [
        {"user_id": "ann", "item_id": "c", "date": "2024-01-03", "weight": 2},
        {"user_id": "bob", "item_id": "b", "date": "2024-01-02", "weight": 1},
        {"user_id": "ann", "item_id": "b", "date": "2024-01-01", "weight": 1},
        {"user_id": "ann", "item_id": "a", "date": "2024-01-03", "weight": 5},
    ]
    histories = open_histories(_write(tmp_path / f"table{suffix}", records))
    ann, bob = histories.read()
    assert histories.count == 2
    assert (ann.user, ann.items, ann.weights) == ("ann", ["b", "a", "c"], [1, 5, 2])
    assert [time - ann.times[0] for time in ann.times] == [0, 2, 2]
    assert (bob.user, bob.items) == ("bob", ["b"])


def test_interactions_without_weights_have_none(tmp_path: Path) -> None:
    records = [{"user_id": "ann", "item_id": "c", "date": 5}]
    (ann,) = open_histories(_write(tmp_path / "table.csv", records)).read()
    assert ann == History("ann", ["c"], None, [5.0])


def test_a_history_may_be_empty_and_ids_may_be_numbers(tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    table.write_text('{"user_id": 7, "history": [12, "x"]}\n{"user_id": "bob", "history": []}\n{"user_id": "eve"}\n')
    assert list(open_histories(table).read()) == [History("7", ["12", "x"]), History("bob", []), History("eve", [])]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"history": ["a"]}', "line 2 has no user_id"),
        ('{"user_id": "bob", "history": [["a"]]}', "line 2 has a history that is not a list of item ids"),
        ('{"user_id": "bob", "history": "[a"}', "line 2 has a history that is not a list of item ids"),
        ("nonsense", "line 2 is not JSON"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_and_the_rest_is_read(tmp_path: Path, line: str, reason: str) -> None:
    table = tmp_path / "table.jsonl"
    table.write_text(f'{{"user_id": "ann", "history": ["a"]}}\n{line}\n{{"user_id": "eve", "history": ["b"]}}\n')
    histories = open_histories(table)
    ann, failure, eve = histories.read()
    assert histories.count == 3
    assert (ann.items, eve.items) == (["a"], ["b"])
    assert isinstance(failure, Failure)
    assert reason in failure.reason


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("table.xml", "user_id,history\n", "is not a table"),
        (
            "table.csv",
            "who,history\n",
            "has the columns who . history. Histories have the columns user_id and history",
        ),
        ("table.jsonl", "", "has the columns none"),
    ],
)
def test_a_table_of_something_else_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CatalogError, match=message):
        open_histories(tmp_path / name)
