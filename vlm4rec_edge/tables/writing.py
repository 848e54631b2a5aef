"""Write a CSV, JSONL or Parquet table, some rows at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.tables.reading import parquet_module

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
        form: A member of ``FORMS``, whatever the file is called.
        columns: Names and types. In CSV a list is JSON in one cell; in JSONL a row is an object.
        metadata: Kept in the schema of Parquet.

    Raises:
        MissingDependencyError: Parquet is asked for and pyarrow is not installed.
        OSError: the disk is full.
    """
    if form == "parquet":
        parquet_module(f"Writing {path.name}")
    with atomic_path(path) as part, FORMS[form](part, columns, metadata) as write:
        yield write


@contextmanager
def _csv_writer(path: Path, columns: Columns, _metadata: object) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as stream:
        # Python quotes a lone carriage return only if it is part of the line's end (before 3.13), and it ends a line too.
        lines = SimpleNamespace(write=lambda line: stream.write(line.removesuffix("\r\n") + "\n"))
        writer = csv.writer(lines, lineterminator="\r\n")
        writer.writerow(columns)
        yield lambda rows: writer.writerows(map(_csv_cells, rows))


def _csv_cells(row: Row) -> list[Any]:
    plain = map(_plain, row)
    return [json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value for value in plain]


@contextmanager
def _jsonl_writer(path: Path, columns: Columns, _metadata: object) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="\n") as stream:

        def write(rows: Iterable[Row]) -> None:
            for row in rows:
                record = dict(zip(columns, map(_plain, row), strict=True))
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")

        yield write


@contextmanager
def _parquet_writer(path: Path, columns: Columns, metadata: Mapping[str, str] | None) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    types = {
        name: pyarrow.list_(pyarrow.float32(), kind) if isinstance(kind, int) else pyarrow.type_for_alias(kind)
        for name, kind in columns.items()
    }
    schema = pyarrow.schema(types.items(), metadata=metadata)
    with parquet.ParquetWriter(path, schema) as writer:

        def write(rows: Iterable[Row]) -> None:
            values = list(zip(*rows, strict=True))
            if values:
                writer.write_table(pyarrow.table(dict(zip(columns, values, strict=True)), schema=schema))

        yield write


def _plain(value: Any) -> Any:
    # The shortest decimal that reads back as the same float32.
    return [float(str(number)) for number in value] if isinstance(value, np.ndarray) else value


FORMS = {"csv": _csv_writer, "jsonl": _jsonl_writer, "parquet": _parquet_writer}
