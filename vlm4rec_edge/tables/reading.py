"""Read a CSV, JSONL or Parquet table: one format a pair of functions, its columns, and its rows as text cells."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import CatalogError, MissingDependencyError
from vlm4rec_edge.items import Failure, UnreadPart

# Python's csv gives up at 128 KiB a cell; rows with longer cells are reported by the reader, not by a traceback.
_CSV_CELL_LIMIT = 16 * 1024 * 1024
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
        path: The file.
        columns: The names of its columns; None where each row speaks for itself (JSONL).
        rows: Starts a fresh pass, which holds one row, or one batch of Parquet, at a time. A row that can not be read is a
            ``Failure``.
    """

    path: Path
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
        CatalogError: it has another ending, can not be read, or lacks a column.
        MissingDependencyError: it is Parquet, and pyarrow is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise CatalogError(f"{path} is no {what} that ends in {', '.join(sorted(_FORMATS))}.")
    columns_of, rows_of = _FORMATS[path.suffix.lower()]
    columns = columns_of(path)
    missing = [name for name in required if columns is not None and name not in columns]
    if missing:
        raise CatalogError(
            f"{path} has no column {' and no column '.join(missing)}; {layout}its columns are "
            f"{', '.join(columns or ()) or 'none'}."
        )
    return Table(path, columns, lambda: rows_of(path))


def parquet_module(doing: str) -> Any:
    """Return ``pyarrow.parquet``.

    Raises:
        MissingDependencyError: pyarrow is not installed; ``doing`` is the beginning of the sentence that says so.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingDependencyError(f'{doing} needs pyarrow: pip install "vlm4rec-edge[parquet]"') from None
    return parquet


def distinct(names: Sequence[str], source: Path | str) -> tuple[str, ...]:
    """Return the names of columns.

    Raises:
        CatalogError: one stands there twice, so that a cell of it could be the one or the other.
    """
    doubled = sorted(name for name, times in Counter(names).items() if times > 1)
    if doubled:
        raise CatalogError(f"{source} has the column {doubled[0]!r} more than once; rename one of them.")
    return tuple(names)


def _csv_lines(path: Path) -> Iterator[tuple[str, list[str] | Failure]]:
    """Yield (where, cells) for each record. Bytes that are no UTF-8 spoil their own row only."""
    csv.field_size_limit(_CSV_CELL_LIMIT)
    try:
        # utf-8-sig: Excel writes a byte-order mark. surrogateescape: find the bad row instead of losing the file.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.reader(stream)
            while True:
                where = f"{path.name}, line {reader.line_num + 1}"
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield where, UnreadPart(where, "catalog", f"{where} is no CSV: {error}.")
                    continue
                if any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
                    yield where, UnreadPart(where, "catalog", f"{where} is not UTF-8; save the table as UTF-8.")
                elif any("\x00" in cell for cell in cells):
                    yield where, UnreadPart(where, "catalog", f"{where} {_NUL_BYTES}")
                elif cells:
                    yield where, cells
    except OSError as error:
        raise CatalogError(f"{path} can not be read: {error.strerror}.") from error


def _csv_header(path: Path, lines: Iterator[tuple[str, list[str] | Failure]]) -> tuple[str, ...]:
    for _, cells in lines:
        if isinstance(cells, Failure):
            raise CatalogError(f"The first line of {path} can not be read: {cells.reason}")
        return distinct([cell.strip() for cell in cells], path)
    raise CatalogError(f"{path} is empty; its first line must name the columns.")


def _csv_columns(path: Path) -> tuple[str, ...]:
    return _csv_header(path, _csv_lines(path))


def _csv_rows(path: Path) -> Iterator[Row | Failure]:
    lines = _csv_lines(path)
    names = _csv_header(path, lines)
    for where, cells in lines:
        if isinstance(cells, Failure):
            yield cells
        elif len(cells) != len(names):
            yield UnreadPart(where, "catalog", f"{where} has {len(cells)} cells, the header has {len(names)}.")
        else:
            yield Row(where, dict(zip(names, cells, strict=True)))


def _jsonl_rows(path: Path) -> Iterator[Row | Failure]:
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                where = f"{path.name}, line {number}"
                if not line.strip():
                    continue
                try:
                    record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                except UnicodeDecodeError:
                    yield UnreadPart(where, "catalog", f"{where} is not UTF-8.")
                except (ValueError, RecursionError) as error:
                    yield UnreadPart(where, "catalog", f"{where} is no JSON: {error}.")
                else:
                    if isinstance(record, dict):
                        yield Row(where, _text_cells(record))
                    else:
                        yield UnreadPart(where, "catalog", f"{where} is no JSON object.")
    except OSError as error:
        raise CatalogError(f"{path} can not be read: {error.strerror}.") from error


def _parquet_file(path: Path) -> Any:
    parquet = parquet_module(f"Reading {path.name}")
    try:
        return parquet.ParquetFile(path)
    except Exception as error:  # pyarrow has its own hierarchy, and OSError beside it
        raise CatalogError(f"{path} is no readable Parquet file: {error}") from error


def _parquet_columns(path: Path) -> tuple[str, ...]:
    with _parquet_file(path) as table:
        return distinct(table.schema_arrow.names, path)


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
    """Turn values into text: null and not-a-number are empty, dates as they are read, the rest as JSON writes it."""
    cells = {}
    for name, value in record.items():
        if value is None or value != value:  # noqa: PLR0124 (only NaN differs from itself)
            text = ""
        elif isinstance(value, (bool, int, float, list, dict)):
            text = json.dumps(value, ensure_ascii=False, default=str)
        else:
            text = str(value)
        cells[_whole(str(name))] = _whole(text)
    return cells


def _whole(text: str) -> str:
    """Return a text without halves of surrogate pairs: JSON may spell them, and no UTF-8 file or database can hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")


_Format = tuple[Callable[[Path], tuple[str, ...] | None], Callable[[Path], Iterator[Row | Failure]]]
_FORMATS: Mapping[str, _Format] = {
    ".csv": (_csv_columns, _csv_rows),
    ".jsonl": (lambda _: None, _jsonl_rows),
    ".ndjson": (lambda _: None, _jsonl_rows),
    ".parquet": (_parquet_columns, _parquet_rows),
}
