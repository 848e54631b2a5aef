"""Read a CSV, JSONL or Parquet table: one format a pair of functions, its columns, and its rows as text cells."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.items import Failure, UnreadPart
from vlm4rec_edge.optional import optional
from vlm4rec_edge.tables.cells import text_of, whole

# Python's csv gives up at 128 KiB a cell; rows with longer cells are reported by the reader, not by a traceback.
_CSV_CELL_LIMIT = 16 * 1024 * 1024
_NOT_UTF8 = "is not UTF-8; save the table as UTF-8."
_NUL_BYTES = "holds NUL bytes; is it UTF-16? Save the table as UTF-8."
_PARQUET_BATCH_ROWS = 1024


@dataclass(frozen=True)
class Row:
    """One row: where it stands (for messages), and its cells as text; empty cells are empty strings."""

    where: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table that was found to be readable.

    Attributes:
        columns: The names of its columns; None where each row speaks for itself (JSONL).
        rows: Starts a fresh pass, which holds one row, or one batch of Parquet, at a time. A row that can not be read is a
            ``Failure``.
    """

    columns: tuple[str, ...] | None
    rows: Callable[[], Iterator[Row | Failure]]


def open_table(
    path: Path | str, required: Sequence[str] = (), *, what: str = "table: give a file", layout: str = ""
) -> Table:
    """Open a table by its ending.

    Args:
        path: The file.
        required: Columns without which it is of no use.
        what: How an error says what it should be, and what to give instead.
        layout: How an error says which columns are needed, with a semicolon and a space at its end.

    Raises:
        CatalogError: it has another ending, can not be read, lacks a column, or has one twice.
        MissingDependencyError: it is Parquet, and pyarrow is not installed.
    """
    path = path_of(path, "A table")
    if path.suffix.lower() not in _FORMATS:
        raise CatalogError(f"{path} is no {what} that ends in {', '.join(sorted(_FORMATS))}.")
    columns_of, rows_of = _FORMATS[path.suffix.lower()]
    columns = columns_of(path)
    if columns is not None:
        check_columns(columns, required, path, layout)
    return Table(columns, lambda: rows_of(path))


def check_columns(columns: Sequence[str], required: Sequence[str], source: Path | str, layout: str = "") -> None:
    """Look whether a table has the columns without which it is of no use, and each column once.

    Raises:
        CatalogError: it lacks one, or has one twice, so that a cell of it could be the one or the other.
    """
    doubled = sorted(name for name, times in Counter(columns).items() if times > 1)
    if doubled:
        raise CatalogError(f"{source} has the column {doubled[0]!r} more than once; rename one of them.")
    missing = [name for name in required if name not in columns]
    if missing:
        raise CatalogError(
            f"{source} has no column {' and no column '.join(missing)}; {layout}its columns are "
            f"{', '.join(columns) or 'none'}."
        )


def _csv_lines(path: Path) -> Iterator[tuple[str, list[str], str]]:
    """Yield (where, cells, what is wrong) for each record. Bytes that are no UTF-8 spoil their own row only."""
    csv.field_size_limit(_CSV_CELL_LIMIT)
    try:
        # utf-8-sig: Excel writes a byte-order mark. surrogateescape: find the bad row instead of losing the file.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.reader(stream)
            while True:
                where, trouble = f"{path.name}, line {reader.line_num + 1}", ""
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    cells, trouble = [], f"is no CSV: {error}."
                if any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
                    trouble = _NOT_UTF8
                elif any("\x00" in cell for cell in cells):
                    trouble = _NUL_BYTES
                if cells or trouble:
                    yield where, cells, trouble
    except OSError as error:
        raise CatalogError(f"{path} can not be read: {error.strerror}.") from error


def _csv_header(path: Path, lines: Iterator[tuple[str, list[str], str]]) -> tuple[str, ...]:
    where, cells, trouble = next(lines, ("", [], ""))
    if trouble:
        raise CatalogError(f"The first line of {path} can not be read: {where} {trouble}")
    if not cells:
        raise CatalogError(f"{path} is empty; its first line must name the columns.")
    return tuple(cell.strip() for cell in cells)


def _csv_rows(path: Path) -> Iterator[Row | Failure]:
    lines = _csv_lines(path)
    names = _csv_header(path, lines)
    for where, cells, trouble in lines:
        if trouble:
            yield UnreadPart(where, "catalog", f"{where} {trouble}")
        elif len(cells) != len(names):
            yield UnreadPart(where, "catalog", f"{where} has {len(cells)} cells, the header has {len(names)}.")
        else:
            yield Row(where, dict(zip(names, cells, strict=True)))


def _jsonl_rows(path: Path) -> Iterator[Row | Failure]:
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _jsonl_row(f"{path.name}, line {number}", line, "utf-8-sig" if number == 1 else "utf-8")
    except OSError as error:
        raise CatalogError(f"{path} can not be read: {error.strerror}.") from error


def _jsonl_row(where: str, line: bytes, encoding: str) -> Row | Failure:
    trouble = "is no JSON object."
    try:
        record = json.loads(line.decode(encoding))
        if isinstance(record, dict):
            return Row(where, _text_cells(record))
    except UnicodeDecodeError:
        trouble = "is not UTF-8."
    except (ValueError, RecursionError) as error:
        trouble = f"is no JSON: {error}."
    return UnreadPart(where, "catalog", f"{where} {trouble}")


def _parquet_file(path: Path) -> Any:
    parquet = optional("pyarrow.parquet", f"Reading {path.name} needs pyarrow", "parquet")
    try:
        return parquet.ParquetFile(path)
    except Exception as error:  # pyarrow has its own hierarchy, and OSError beside it
        raise CatalogError(f"{path} is no readable Parquet file: {error}") from error


def _parquet_columns(path: Path) -> tuple[str, ...]:
    with _parquet_file(path) as table:
        return tuple(table.schema_arrow.names)


def _parquet_rows(path: Path) -> Iterator[Row | Failure]:
    number = 0
    with _parquet_file(path) as table:
        batches = table.iter_batches(batch_size=_PARQUET_BATCH_ROWS)
        while True:
            try:
                batch = next(batches, None)
                records = [] if batch is None else batch.to_pylist()
            except Exception as error:  # as above: a damaged page shows only when it is unpacked
                raise CatalogError(f"{path} is no readable Parquet file: {error}") from error
            if batch is None:
                return
            for record in records:
                number += 1
                yield Row(f"{path.name}, row {number}", _text_cells(record))


def _text_cells(record: Mapping[str, Any]) -> dict[str, str]:
    return {whole(str(name)): text_of(value) for name, value in record.items()}


_Format = tuple[Callable[[Path], tuple[str, ...] | None], Callable[[Path], Iterator[Row | Failure]]]
_FORMATS: Mapping[str, _Format] = {
    ".csv": (lambda path: _csv_header(path, _csv_lines(path)), _csv_rows),
    ".jsonl": (lambda _: None, _jsonl_rows),
    ".ndjson": (lambda _: None, _jsonl_rows),
    ".parquet": (_parquet_columns, _parquet_rows),
}
