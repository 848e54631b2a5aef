"""Read a CSV, JSONL or Parquet table: what is which column, and its rows as text cells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.items import Failure, UnreadPart
from vlm4rec_edge.optional import optional
from vlm4rec_edge.tables.cells import text_of, whole
from vlm4rec_edge.tables.delimited import Form, form_of, read_records
from vlm4rec_edge.tables.roles import Wanted, roles_of

_ANYTHING = Wanted()
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
        rows: Starts a fresh pass, which holds one row, or one batch of Parquet, at a time. A row that cannot be read is a
            ``Failure``.
        roles: The columns that were looked for, by role; a role that the table does not have has none.
        notes: What a user should know of how it is read, as sentences.
    """

    columns: tuple[str, ...] | None
    rows: Callable[[], Iterator[Row | Failure]]
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def open_table(path: Path | str, wanted: Wanted = _ANYTHING, *, what: str = "table: give a file") -> Table:
    """Open a table by its ending.

    Args:
        path: The file.
        wanted: What is looked for in it.
        what: How an error says what it should be, and what to give instead.

    Raises:
        CatalogError: it has another ending, cannot be read, lacks a column, or has one twice.
        MissingDependencyError: it is Parquet, and pyarrow is not installed.
    """
    path = path_of(path, "A table")
    opened = _FORMATS.get(path.suffix.lower())
    if opened is None:
        raise CatalogError(f"{path} is not a {what} that ends in {', '.join(sorted(_FORMATS))}.")
    try:
        return opened(path, wanted)
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error.strerror}.") from error


def found_table(
    source: Path | str,
    columns: tuple[str, ...],
    rows: Callable[[], Iterator[Row | Failure]],
    wanted: Wanted,
    how: str = "",
    separated_by: str = "",
) -> Table:
    """Return a table whose columns are known, with what was looked for in it; ``how`` says what is unusual about it.

    Raises:
        CatalogError: it lacks a column, or has one twice.
    """
    roles, layout = roles_of(columns, wanted, source, separated_by)
    parts = " and ".join(filter(None, (f"as {layout}" if layout else "", how)))
    name = Path(source).name if isinstance(source, Path) else source
    taken = ", ".join(f"{' and '.join(names)} as {role}" for role, names in roles.items() if names)
    note = f"{name} is read {parts}" + (f" ({taken})." if layout else ".")
    return Table(columns, rows, roles, (note,) if parts else ())


def _delimited(usual: str) -> Callable[[Path, Wanted], Table]:
    """Return what opens a table whose name promises this separator."""

    def opened(path: Path, wanted: Wanted) -> Table:
        form = form_of(path, usual, lambda header: wanted.find([cell.strip() for cell in header]) is not None)
        header = next(read_records(path, form, lambda _: ()), None)
        if header is None:
            raise CatalogError(f"{path} is empty; its first line must name the columns.")
        if header.trouble:
            raise CatalogError(f"The first line of {path} cannot be read: line {header.line} {header.trouble}")
        names = _names(header.cells)

        def rows() -> Iterator[Row | Failure]:
            try:
                yield from _delimited_rows(path, form, names, [names.index(key) for key in keys])
            except OSError as error:
                raise CatalogError(f"{path} cannot be read: {error.strerror}.") from error

        table = found_table(path, names, rows, wanted, form.note(usual), form.separated_by)
        keys = [table.roles[role][0] for role in wanted.needed if table.roles.get(role)]
        return table

    return opened


def _names(header: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns; one without a name is called by its number, and at the end of the header it is none."""
    names = [cell.strip() for cell in header]
    while names and not names[-1]:
        names.pop()
    return tuple(name or f"column {number}" for number, name in enumerate(names, start=1))


def _delimited_rows(path: Path, form: Form, names: Sequence[str], keys: Sequence[int]) -> Iterator[Row | Failure]:
    for record in islice(read_records(path, form, lambda _: keys), 1, None):
        where, cells = f"{path.name}, line {record.line}", record.cells
        if record.trouble:
            yield UnreadPart(where, "catalog", f"{where} {record.trouble}")
        else:
            yield Row(where, dict(zip(names, cells, strict=False)))


def _jsonl(path: Path, wanted: Wanted) -> Table:
    """Open a table whose rows speak for themselves; the first that can be read says which columns are what."""
    first = next((tuple(row.cells) for row in _jsonl_rows(path) if isinstance(row, Row)), ())
    ours = wanted.layouts[0].columns if wanted.layouts else {}
    if wanted.find(first) is None and not any(wanted.given.values()):
        return Table(None, lambda: _jsonl_rows(path), ours)  # each row will say what it lacks
    table = found_table(path, first, lambda: _jsonl_rows(path), wanted)
    # What the first row does not have, a later one may.
    return replace(table, columns=None, roles={role: table.roles.get(role) or names for role, names in ours.items()})


def _jsonl_rows(path: Path) -> Iterator[Row | Failure]:
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _jsonl_row(f"{path.name}, line {number}", line, "utf-8-sig" if number == 1 else "utf-8")
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error.strerror}.") from error


def _jsonl_row(where: str, line: bytes, encoding: str) -> Row | Failure:
    trouble = "is not a JSON object."
    try:
        record = json.loads(line.decode(encoding))
        if isinstance(record, dict):
            return Row(where, _text_cells(record))
    except UnicodeDecodeError:
        trouble = "is not UTF-8."
    except (ValueError, RecursionError) as error:
        trouble = f"is not JSON: {error}."
    return UnreadPart(where, "catalog", f"{where} {trouble}")


def _parquet_file(path: Path) -> Any:
    parquet = optional("pyarrow.parquet", f"Reading {path.name} needs pyarrow", "parquet")
    try:
        return parquet.ParquetFile(path)
    except Exception as error:  # pyarrow has its own hierarchy, and OSError beside it
        raise CatalogError(f"{path} is not a readable Parquet file: {error}") from error


def _parquet(path: Path, wanted: Wanted) -> Table:
    with _parquet_file(path) as table:
        columns = tuple(table.schema_arrow.names)
    return found_table(path, columns, lambda: _parquet_rows(path), wanted)


def _parquet_rows(path: Path) -> Iterator[Row | Failure]:
    number = 0
    with _parquet_file(path) as table:
        batches = table.iter_batches(batch_size=_PARQUET_BATCH_ROWS)
        while True:
            try:
                batch = next(batches, None)
                records = [] if batch is None else batch.to_pylist()
            except Exception as error:  # as above: a damaged page shows only when it is unpacked
                raise CatalogError(f"{path} is not a readable Parquet file: {error}") from error
            if batch is None:
                return
            for record in records:
                number += 1
                yield Row(f"{path.name}, row {number}", _text_cells(record))


def _text_cells(record: Mapping[str, Any]) -> dict[str, str]:
    return {whole(str(name)): text_of(value) for name, value in record.items()}


_FORMATS: Mapping[str, Callable[[Path, Wanted], Table]] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".tab": _delimited("\t"),
    ".inter": _delimited("\t"),  # of RecBole
    ".txt": _delimited("\t"),  # of Google Merchant, and of spreadsheets
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
