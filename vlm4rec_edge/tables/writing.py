"""Write a CSV, JSONL or Parquet table, some rows at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.optional import optional

# Names of columns, each with its type in Parquet (a pyarrow alias); a number is a vector of so many float32.
Columns = Mapping[str, str | int]
Row = Iterable[Any]
Write = Callable[[Iterable[Row]], None]


@contextmanager
def table_writer(
    path: Path, form: str, columns: Columns, *, metadata: Mapping[str, str] | None = None
) -> Iterator[Write]:
    """Open a table and yield what writes rows to it, each with one value a column; it takes its name when it is complete.

    Args:
        path: The file; what lies there is replaced.
        form: ``csv``, ``jsonl`` or ``parquet``, independent of the file's name.
        columns: Names and types. In CSV a list is JSON in one cell; in JSONL a row is an object.
        metadata: Kept in the schema of Parquet.

    Raises:
        MissingDependencyError: Parquet is asked for and pyarrow is not installed.
        OSError: the disk is full.
    """
    with atomic_path(path) as part:
        if form == "parquet":
            pyarrow = optional("pyarrow", f"Writing {path.name} needs pyarrow", "parquet")
            from pyarrow import parquet

            types = [pyarrow.list_(pyarrow.float32(), of) if isinstance(of, int) else of for of in columns.values()]
            schema = pyarrow.schema(list(map(pyarrow.field, columns, types)), metadata)
            with parquet.ParquetWriter(part, schema) as writer:
                yield partial(_write_parquet, writer, schema, pyarrow.table)
        else:
            with part.open("w", encoding="utf-8", newline="") as stream:
                if form == "csv":
                    _write_csv(stream, [columns])
                yield partial(_write_csv, stream) if form == "csv" else partial(_write_jsonl, stream, columns)


def _write_csv(stream: IO[str], rows: Iterable[Row]) -> None:
    # Python 3.11 quotes a lone carriage return only if it is part of a line's end, and every reader ends a line there.
    lines = SimpleNamespace(write=lambda line: stream.write(line.removesuffix("\r\n") + "\n"))
    csv.writer(lines, lineterminator="\r\n").writerows(map(_csv_cells, rows))


def _csv_cells(row: Row) -> list[Any]:
    plain = map(_plain, row)
    return [json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value for value in plain]


def _write_jsonl(stream: IO[str], columns: Columns, rows: Iterable[Row]) -> None:
    records = (dict(zip(columns, map(_plain, row), strict=True)) for row in rows)
    stream.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _write_parquet(writer: Any, schema: Any, table: Callable[..., Any], rows: Iterable[Row]) -> None:
    columns = list(zip(*rows, strict=True))
    if columns:
        writer.write_table(table(dict(zip(schema.names, columns, strict=True)), schema=schema))


def _plain(value: Any) -> Any:
    # The shortest decimal that reads back as the same float32.
    return [float(str(number)) for number in value] if isinstance(value, np.ndarray) else value
