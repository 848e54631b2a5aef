"""Who took what and when: a table of interactions, read into arrays."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure
from vlm4rec_edge.tables.reading import Row, open_table

_COLUMNS = ("user_id", "item_id", "date")
_LAYOUT = "interactions have the columns user_id, item_id and date, and may have weight; "
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Interactions:
    """Interactions of users with items, in the order of their table.

    Attributes:
        users: User ids; ``user`` points into them.
        items: Item ids; ``item`` points into them.
        user: [interactions], int32.
        item: [interactions], int32.
        date: [interactions], float64: days since 1970 (UTC) where the table has dates, else its own numbers.
        weight: [interactions], float64, above zero; 1 where the table has no column ``weight``.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    user: np.ndarray
    item: np.ndarray
    date: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    @property
    def ranks(self) -> np.ndarray:
        """The place of each interaction's item among all items, sorted by id: [interactions], int64."""
        rank_of = np.empty(len(self.items), np.int64)
        rank_of[sorted(range(len(self.items)), key=self.items.__getitem__)] = np.arange(len(rank_of))
        return np.asarray(rank_of[self.item])


def read_interactions(path: Path | str) -> tuple[Interactions, list[Failure]]:
    """Read a table (CSV, JSONL, Parquet) with the columns ``user_id``, ``item_id``, ``date`` and, if it has one, ``weight``.

    ``date`` is ISO 8601 (``2020-09-22``, ``2020-09-22T18:30``; without a zone it is UTC) or, in every row, a number such
    as seconds since 1970. ``weight`` is a number above zero (a rating, a count); an empty cell is 1.

    Returns:
        The interactions, and the rows that could not be used with the reasons.

    Raises:
        CatalogError: the file can not be read, is of another kind, lacks a column, or has no usable row.
    """
    table = open_table(path, _COLUMNS, layout=_LAYOUT)
    failures: list[Failure] = []
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user, item, date, weight = array("i"), array("i"), array("d"), array("d")  # a tenth of the memory of lists
    dates = Dates()
    for row in table.rows():
        if isinstance(row, Failure):
            failures.append(row)
            continue
        try:
            user_id, item_id, at, weighs = _cells(row, dates)
        except ValueError as error:
            failures.append(Failure(row.where, "catalog", f"{row.where} {error}."))
            continue
        user.append(users.setdefault(user_id, len(users)))
        item.append(items.setdefault(item_id, len(items)))
        date.append(at)
        weight.append(weighs)
    if not user:
        reason = f" The first row that can not be used: {failures[0].reason}" if failures else ""
        raise CatalogError(f"{path} has no usable interaction.{reason}")
    arrays = (np.array(user, np.int32), np.array(item, np.int32), np.array(date), np.array(weight))
    return Interactions(tuple(users), tuple(items), *arrays), failures


def _cells(row: Row, dates: Dates) -> tuple[str, str, float, float]:
    user_id, item_id, date = (row.cells.get(name, "").strip() for name in _COLUMNS)
    for name, cell in zip(_COLUMNS, (user_id, item_id, date), strict=True):
        if not cell:
            raise ValueError(f"has no {name}")
    weight = row.cells.get("weight", "").strip()
    try:
        number = float(weight) if weight else 1.0
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"has the weight {weight!r}; a weight is a number above zero")
    return user_id, item_id, dates.number(date), number


class Dates:
    """Turns dates into numbers. The first row decides what dates are: two kinds in one table have no common order."""

    def __init__(self) -> None:
        self._are_numbers: bool | None = None
        self._known: dict[str, float] = {}  # a table of many rows has few days

    def number(self, text: str) -> float:
        """Return a date in days since 1970 (UTC), and a number as it is.

        Raises:
            ValueError: it is neither, or not of the kind of the first; the message goes on after "the row".
        """
        if (known := self._known.get(text)) is not None:
            return known
        number, is_number = _as_number(text)
        if self._are_numbers is None:
            self._are_numbers = is_number
        elif self._are_numbers != is_number:
            kinds = ("a number", "dates") if is_number else ("a date", "numbers")
            raise ValueError(f"has {kinds[0]}, {text!r}, as its date; the rows before it have {kinds[1]}")
        if len(self._known) < _DATES_KEPT:
            self._known[text] = number
        return number


# Ten years of days fit many times over; a table with a clock time in each row must not be kept twice.
_DATES_KEPT = 100_000


def _as_number(text: str) -> tuple[float, bool]:
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(number):
            return number, True
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"has the date {text!r}; write it as 2020-09-22 or 2020-09-22T18:30:00, or as a number"
        ) from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() / _SECONDS_A_DAY, False
