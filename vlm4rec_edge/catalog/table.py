"""The rows of a catalog table, one format a pair of functions: its columns, and its rows as text cells."""

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
class RowReader:
    """How one format is read: ``columns`` returns None where a row speaks for itself (JSONL)."""

    columns: Callable[[Path], tuple[str, ...] | None]
    rows: Callable[[Path], Iterator[Row | Failure]]


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


def _csv_columns(path: Path) -> tuple[str, ...]:
    for _, cells in _csv_lines(path):
        if isinstance(cells, Failure):
            raise CatalogError(f"The first line of {path} can not be read: {cells.reason}")
        return _distinct(path, [cell.strip() for cell in cells])
    raise CatalogError(f"{path} is empty; its first line must name the columns.")


def _distinct(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    doubled = sorted(name for name, times in Counter(names).items() if times > 1)
    if doubled:
        raise CatalogError(f"{path} has the column {doubled[0]!r} more than once; rename one of them.")
    return tuple(names)


def _csv_rows(path: Path) -> Iterator[Row | Failure]:
    names = _csv_columns(path)
    lines = _csv_lines(path)
    next(lines, None)  # the header
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
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingDependencyError(
            f'Reading {path.name} needs pyarrow: pip install "vlm4rec-edge[parquet]"'
        ) from None
    try:
        return parquet.ParquetFile(path)
    except Exception as error:  # pyarrow has its own hierarchy, and OSError beside it
        raise CatalogError(f"{path} is no readable Parquet file: {error}") from error


def _parquet_columns(path: Path) -> tuple[str, ...]:
    with _parquet_file(path) as table:
        return _distinct(path, table.schema_arrow.names)


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


ROW_READERS: Mapping[str, RowReader] = {
    ".csv": RowReader(_csv_columns, _csv_rows),
    ".jsonl": RowReader(lambda _: None, _jsonl_rows),
    ".ndjson": RowReader(lambda _: None, _jsonl_rows),
    ".parquet": RowReader(_parquet_columns, _parquet_rows),
}
