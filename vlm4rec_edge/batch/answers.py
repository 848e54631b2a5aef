"""Recommendations of many users, written to a table as they come: one row a recommendation."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from vlm4rec_edge.errors import MissingDependencyError, UsageError
from vlm4rec_edge.recommend.many import Answer

_COLUMNS = ("user_id", "rank", "item_id", "score", "basis")
# A score is a cosine of float32 (or a count); further digits are rounding.
_DIGITS = 6


Write = Callable[[Sequence[Answer]], None]


@contextmanager
def open_answers(path: Path | str) -> Iterator[Write]:
    """Open a table for writing by its ending (``.csv``, ``.jsonl``, ``.parquet``) and yield what writes answers to it.

    Columns: ``user_id``, ``rank`` from 1, ``item_id``, ``score``, ``basis`` (``history`` or ``popularity``). The table takes
    its name when it is complete, so a run that ends early leaves what was there before.

    Raises:
        UsageError: the ending is another, or there is no such folder.
        MissingDependencyError: Parquet is asked for and pyarrow is not installed.
    """
    path = Path(path)
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"{path} is no table that can be written: let it end in {', '.join(sorted(_FORMS))}.")
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist; make it first.")
    part = path.with_name(path.name + ".part")
    try:
        with form(part) as write:
            yield write
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _rows(answers: Sequence[Answer]) -> Iterator[tuple[str, int, str, float, str]]:
    for answer in answers:
        for rank, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True), start=1):
            yield answer.user, rank, item, round(float(score), _DIGITS), answer.basis


@contextmanager
def _csv_table(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        yield lambda answers: writer.writerows(_rows(answers))


@contextmanager
def _jsonl_table(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as stream:

        def write(answers: Sequence[Answer]) -> None:
            for row in _rows(answers):
                stream.write(json.dumps(dict(zip(_COLUMNS, row, strict=True)), ensure_ascii=False) + "\n")

        yield write


@contextmanager
def _parquet_table(path: Path) -> Iterator[Write]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingDependencyError(
            f'Writing {path.name.removesuffix(".part")} needs pyarrow: pip install "vlm4rec-edge[parquet]"'
        ) from None
    types = (pyarrow.string(), pyarrow.int32(), pyarrow.string(), pyarrow.float32(), pyarrow.string())
    schema = pyarrow.schema(list(zip(_COLUMNS, types, strict=True)))
    with parquet.ParquetWriter(path, schema) as writer:

        def write(answers: Sequence[Answer]) -> None:
            columns = list(zip(*_rows(answers), strict=True))
            if columns:
                writer.write_table(pyarrow.table(dict(zip(_COLUMNS, columns, strict=True)), schema=schema))

        yield write


_FORMS: Mapping[str, Callable[[Path], AbstractContextManager[Write]]] = {
    ".csv": _csv_table,
    ".jsonl": _jsonl_table,
    ".ndjson": _jsonl_table,
    ".parquet": _parquet_table,
}
