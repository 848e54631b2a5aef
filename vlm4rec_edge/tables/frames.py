"""The rows of a data frame of pandas or polars, known by what it can do (neither is imported), or of a list of mappings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vlm4rec_edge.items import Failure, UnreadPart
from vlm4rec_edge.tables.cells import NOT_TEXT, given_text
from vlm4rec_edge.tables.reading import Row, Table

# Rows of pandas turned into records together.
_CHUNK_ROWS = 1024


def frame_table(frame: Any) -> Table | None:
    """Return a data frame as a table, or None if it is none. Its index is not read."""
    is_polars = hasattr(frame, "iter_rows")
    if not hasattr(frame, "columns") or not (is_polars or hasattr(frame, "iloc")):
        return None

    def records() -> Iterator[Mapping[Any, Any]]:
        if is_polars:
            yield from frame.iter_rows(named=True)
        else:
            for start in range(0, len(frame), _CHUNK_ROWS):
                yield from frame.iloc[start : start + _CHUNK_ROWS].to_dict(orient="records")

    return Table(tuple(map(str, frame.columns)), lambda: _rows(records(), "the data frame"))


def mappings_table(records: Iterable[Any]) -> Table:
    """Return a list of mappings, each a row by the names of its columns; what is no mapping is a ``Failure``."""
    mappings = (record for record in records if isinstance(record, Mapping))
    columns = tuple(dict.fromkeys(str(name) for record in mappings for name in record))
    return Table(columns, lambda: _rows(records, "the list"))


def _rows(records: Iterable[Any], of: str) -> Iterator[Row | Failure]:
    for number, record in enumerate(records, start=1):
        where = f"row {number} of {of}"
        try:
            row = Row(where, {str(name): given_text(str(name), value) for name, value in record.items()})
        except (*NOT_TEXT, AttributeError) as error:
            yield UnreadPart(where, "catalog", f"{where} cannot be read: {str(error).rstrip('.')}.")
        else:
            yield row
