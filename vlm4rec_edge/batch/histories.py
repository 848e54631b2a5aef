"""The histories of many users, read from a table: one row a user, or one row an interaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.interactions import InteractionColumns, Interactions, read_interactions
from vlm4rec_edge.items import Failure
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.tables.reading import Row, open_table
from vlm4rec_edge.tables.roles import Layout, Wanted

_LAYOUTS = (
    "Histories have the columns user_id and history (item ids, comma between them; a list in JSONL and Parquet), or the "
    "columns user_id, item_id and date; other names are given with --user-column, --item-column and --date-column."
)


@dataclass(frozen=True)
class Histories:
    """A table of histories that was found to be readable; ``count`` users and rows that cannot be used.

    ``notes`` are what a user should know of how it is read, as sentences.
    """

    path: Path
    count: int
    read: Callable[[], Iterator[History | Failure]]
    notes: tuple[str, ...] = ()


def open_histories(path: Path | str, columns: InteractionColumns | None = None) -> Histories:
    """Open a table of histories (CSV, TSV, JSONL, Parquet).

    With a column ``history`` every row is a user, and rows are read one by one, however many there are. With the columns
    ``user_id``, ``item_id``, ``date`` and, if there is one, ``weight`` every row is an interaction; their numbers are held
    in memory, 28 bytes each, because the rows of a user may lie anywhere.

    Args:
        path: The file.
        columns: What its columns are called, where it is nothing known; ``user`` in both layouts.

    Raises:
        CatalogError: the table cannot be read, or has neither layout.
    """
    path, columns = Path(path), columns or InteractionColumns()
    layout = Layout("", {"user": ("user_id",), "history": ("history",)})
    wanted = Wanted((layout,), ("user", "history"), {"user": (columns.user,)} if columns.user else {})
    table = open_table(path)
    seen = table.columns
    if seen is None:  # rows speak for themselves; the first that can be read speaks for the others
        seen = next((tuple(row.cells) for row in table.rows() if isinstance(row, Row)), ())
    if wanted.find(seen):
        table = open_table(path, wanted)
        (user, *_), (history, *_) = table.roles["user"], table.roles["history"]
        count = sum(1 for _ in table.rows())
        return Histories(path, count, lambda: (_history_of(row, user, history) for row in table.rows()), table.notes)
    if columns.wanted().find(seen) or columns != InteractionColumns():
        interactions, failures = read_interactions(path, columns)
        count = len(interactions.users) + len(failures)
        return Histories(path, count, lambda: _from_interactions(interactions, failures), interactions.notes)
    raise CatalogError(f"{path} has the columns {' | '.join(seen) or 'none'}. {_LAYOUTS}")


def _history_of(row: Row | Failure, user_column: str, history_column: str) -> History | Failure:
    if isinstance(row, Failure):
        return row
    user, cell = row.cells.get(user_column, "").strip(), row.cells.get(history_column, "").strip()
    if not user:
        return Failure(row.where, "catalog", f"{row.where} has no {user_column}.")
    if not cell.startswith("["):
        return History(user, [part.strip() for part in cell.split(",") if part.strip()])
    try:
        items = json.loads(cell)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not all(isinstance(item, (str, int)) for item in items):
        return Failure(row.where, "catalog", f"{row.where} has a history that is not a list of item ids.")
    return History(user, [str(item) for item in items])


def _from_interactions(interactions: Interactions, failures: Sequence[Failure]) -> Iterator[History | Failure]:
    yield from failures
    order = np.lexsort((interactions.ranks, interactions.date, interactions.user))
    ends = np.cumsum(np.bincount(interactions.user, minlength=len(interactions.users)))
    has_weights = bool((interactions.weight != 1).any())
    for number, user in enumerate(interactions.users):
        own = order[ends[number - 1] if number else 0 : ends[number]]
        yield History(
            user,
            [interactions.items[item] for item in interactions.item[own].tolist()],
            interactions.weight[own].tolist() if has_weights else None,
            interactions.date[own].tolist(),
        )
