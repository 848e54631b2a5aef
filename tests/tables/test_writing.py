"""What is written comes back, value for value, from any of the three formats."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from vlm4rec_edge.tables.reading import Row, open_table
from vlm4rec_edge.tables.writing import table_writer

COLUMNS: dict[str, str | int] = {"name": "string", "count": "int32", "vector": 3}
TEXTS = ["plain", "", "née, É", 'a "quoted" one', "two\nlines", "lone\rreturn", " spaces ", "\r\n"]
VECTOR = np.array([0.1, -2, 1e-30], dtype=np.float32)


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def form(request: pytest.FixtureRequest) -> str:
    """Each format."""
    if request.param == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    return str(request.param)


def test_every_text_is_read_again_by_our_own_reader(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"table.{form}"
    with table_writer(path, form, COLUMNS) as write:
        write([text, number, VECTOR] for number, text in enumerate(TEXTS[:3]))
        write(iter([]))
        write([text, number, VECTOR] for number, text in enumerate(TEXTS[3:], start=3))
    rows = list(open_table(path).rows())
    assert all(isinstance(row, Row) for row in rows)
    assert [row.cells["name"] for row in rows if isinstance(row, Row)] == TEXTS
    assert [row.cells["count"] for row in rows if isinstance(row, Row)] == [str(n) for n in range(len(TEXTS))]
    for row in rows:
        assert isinstance(row, Row)
        assert np.array_equal(np.array(json.loads(row.cells["vector"]), np.float32), VECTOR)
    assert list(tmp_path.iterdir()) == [path]


def test_lines_of_csv_end_as_those_of_other_programs_here_and_numbers_are_short(tmp_path: Path) -> None:
    with table_writer(tmp_path / "a.csv", "csv", COLUMNS) as write:
        write([["a", None, VECTOR]])
    assert (tmp_path / "a.csv").read_bytes() == b'name,count,vector\na,,"[0.1, -2.0, 1e-30]"\n'
    with (tmp_path / "a.csv").open(newline="") as stream:
        assert next(csv.DictReader(stream))["vector"] == "[0.1, -2.0, 1e-30]"


def test_the_metadata_of_parquet_is_kept(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    with table_writer(tmp_path / "a.parquet", "parquet", COLUMNS, metadata={"encoder": "f"}) as write:
        write([["a", 1, VECTOR]])
    schema = parquet.read_schema(tmp_path / "a.parquet")
    assert schema.metadata[b"encoder"] == b"f"
    assert [str(field.type) for field in schema] == ["string", "int32", "fixed_size_list<element: float>[3]"]


def test_a_row_with_too_few_values_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"), table_writer(tmp_path / "a.jsonl", "jsonl", COLUMNS) as write:
        write([["a"]])
    assert list(tmp_path.iterdir()) == []
