"""Recommendations of many users, written to a table as they come: one row a recommendation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend.many import Answer
from vlm4rec_edge.tables.writing import table_writer

_COLUMNS = {"user_id": "string", "rank": "int32", "item_id": "string", "score": "float32", "basis": "string"}
# A score is a cosine of float32 (or a count); further digits are rounding.
_DIGITS = 6
_FORMS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@contextmanager
def open_answers(path: Path | str) -> Iterator[Callable[[Sequence[Answer]], None]]:
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
        raise UsageError(f"{path} cannot be written as a table; let its name end in {', '.join(sorted(_FORMS))}.")
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist; make it first.")
    with table_writer(path, form, _COLUMNS) as write:
        yield lambda answers: write(_rows(answers))


def _rows(answers: Sequence[Answer]) -> Iterator[tuple[str, int, str, float, str]]:
    for answer in answers:
        for rank, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True), start=1):
            yield answer.user, rank, item, round(float(score), _DIGITS), answer.basis
