"""Answers are one row a recommendation, in the format of the file's name, and the file is there whole or not at all."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from vlm4rec_edge.batch.answers import open_answers
from vlm4rec_edge.errors import MissingDependencyError, UsageError
from vlm4rec_edge.recommend.many import Answer

ANSWERS = [
    Answer("ann, née É", ["007", "b"], [0.75, 0.5]),
    Answer("bob", [], []),
    Answer("eve", ["c"], [-0.25], basis="popularity"),
]
ROWS = [
    ("ann, née É", 1, "007", 0.75, "history"),
    ("ann, née É", 2, "b", 0.5, "history"),
    ("eve", 1, "c", -0.25, "popularity"),
]


def _read(path: Path) -> list[tuple[object, ...]]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return [tuple(record.values()) for record in parquet.read_table(path).to_pylist()]
    with path.open(encoding="utf-8", newline="") as stream:
        if path.suffix == ".csv":
            return [
                (row["user_id"], int(row["rank"]), row["item_id"], float(row["score"]), row["basis"])
                for row in csv.DictReader(stream)
            ]
        return [tuple(json.loads(line).values()) for line in stream]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_holds_the_same_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"answers{suffix}"
    with open_answers(path) as write:
        write(ANSWERS[:1])
        write(ANSWERS[1:2])
        write(ANSWERS[2:])
    assert _read(path) == ROWS
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_what_ends_early_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"answers{suffix}"
    path.write_text("yesterday")
    with pytest.raises(KeyboardInterrupt), open_answers(path) as write:
        write(ANSWERS)
        raise KeyboardInterrupt
    assert path.read_text() == "yesterday"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "message"),
    [("out.xlsx", "let its name end in .csv, .jsonl"), ("none/out.csv", "none does not exist; make it")],
)
def test_where_nothing_can_be_written_is_told_first(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message), open_answers(tmp_path / name):
        pass


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (
        pytest.raises(MissingDependencyError, match=r'Writing out.parquet needs pyarrow: pip install "vlm4rec-edge'),
        open_answers(tmp_path / "out.parquet"),
    ):
        pass
