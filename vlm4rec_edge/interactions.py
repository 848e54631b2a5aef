"""Who took what and when: a table of interactions, read into arrays."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.items import Failure
from vlm4rec_edge.tables.reading import Row, open_table
from vlm4rec_edge.tables.roles import Layout, Wanted, plain

_ABOUT = "interactions have the columns user_id, item_id and date, and may have weight; "
_OURS = {"user": ("user_id",), "item": ("item_id",), "date": ("date",), "weight": ("weight",)}
_LAYOUTS = (
    Layout("", _OURS),
    # RecBole's atomic files, and most data sets of others (https://recbole.io/docs/user_guide/data/atomic_files.html)
    Layout("interactions with timestamps", {**_OURS, "date": ("timestamp",)}),
    # https://files.grouplens.org/datasets/movielens/ml-latest-README.html
    Layout("ratings of MovieLens", {**_OURS, "item": ("movieId",), "date": ("timestamp",)}),
    # https://www.kaggle.com/competitions/h-and-m-personalized-fashion-recommendations/data
    Layout("purchases of H&M", {**_OURS, "user": ("customer_id",), "item": ("article_id",), "date": ("t_dat",)}),
    # https://amazon-reviews-2023.github.io
    Layout("reviews of Amazon", {**_OURS, "item": ("parent_asin",), "date": ("timestamp",)}),
    Layout("interactions of users with items", {**_OURS, "user": ("user",), "item": ("item",)}),
)
_RATING = "rating"
_SECONDS_A_DAY = 86_400
_DAY_ZERO = date(1970, 1, 1).toordinal()
# Numbers from here on are seconds since 1970, then milli-, micro- and nanoseconds: what people store for the years 1973 to
# 5138. Smaller ones (1, 2, 3; 20231114) are days, or what stands for them.
_UNITS = ((1e8, 1.0), (1e11, 1e3), (1e14, 1e6), (1e17, 1e9))


@dataclass(frozen=True)
class InteractionColumns:
    """The columns of a table of interactions, where they are not called ``user_id``, ``item_id``, ``date`` and ``weight``."""

    user: str = ""
    item: str = ""
    date: str = ""
    weight: str = ""

    def wanted(self) -> Wanted:
        """Return what a reader of tables is to look for."""
        given = {role: (name,) for role, name in asdict(self).items() if name}
        return Wanted(_LAYOUTS, ("user", "item", "date"), given, _ABOUT, options=True)


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
        days: [interactions], int64: the calendar day of each date, as it was written where it has a time zone. Where dates are
            numbers, and where it is not given: of seconds since 1970 (or milli-, micro-, nanoseconds) the day in UTC, of
            smaller numbers the whole number below.
        has_weights: Whether the table has a column ``weight``.
        notes: What a user should know of how the table was read, as sentences.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    user: np.ndarray
    item: np.ndarray
    date: np.ndarray
    weight: np.ndarray
    days: np.ndarray = None  # type: ignore[assignment]  # filled in below
    has_weights: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Work out the days where they are not given."""
        if self.days is None:
            object.__setattr__(self, "days", days_of(self.date))

    def __len__(self) -> int:
        return len(self.user)

    @property
    def ranks(self) -> np.ndarray:
        """The place of each interaction's item among all items, sorted by id: [interactions], int64."""
        rank_of = np.empty(len(self.items), np.int64)
        rank_of[sorted(range(len(self.items)), key=self.items.__getitem__)] = np.arange(len(rank_of))
        return np.asarray(rank_of[self.item])


def read_interactions(
    path: Path | str, columns: InteractionColumns | None = None
) -> tuple[Interactions, list[Failure]]:
    """Read a table (CSV, TSV, JSONL, Parquet) with the columns ``user_id``, ``item_id``, ``date`` and perhaps ``weight``.

    ``date`` is ISO 8601 (``2020-09-22``, ``2020-09-22T18:30``; without a zone it is UTC) or, in every row, a number such
    as seconds since 1970. ``weight`` is a number above zero (a rating, a count); an empty cell is 1.

    Args:
        path: The file.
        columns: What its columns are called, where it is nothing known.

    Returns:
        The interactions, and the rows that could not be used with the reasons.

    Raises:
        CatalogError: the file cannot be read, is of another kind, lacks a column, or has no usable row.
    """
    table = open_table(path, (columns or InteractionColumns()).wanted())
    names = [(table.roles.get(role) or (role,))[0] for role in _OURS]
    failures: list[Failure] = []
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user, item, day = array("i"), array("i"), array("i")
    date, weight = array("d"), array("d")  # a tenth of the memory of lists
    has_weights = table.columns is not None and bool(table.roles["weight"])
    dates = Dates()
    for row in table.rows():
        if isinstance(row, Failure):
            failures.append(row)
            continue
        try:
            user_id, item_id, (at, on), weighs = _cells(row, names, dates)
        except ValueError as error:
            failures.append(Failure(row.where, "catalog", f"{row.where} {error}."))
            continue
        user.append(users.setdefault(user_id, len(users)))
        item.append(items.setdefault(item_id, len(items)))
        date.append(at)
        day.append(on)
        weight.append(weighs)
        has_weights = has_weights or (table.columns is None and names[3] in row.cells)
    if not user:
        reason = f" The first row that cannot be used: {failures[0].reason}" if failures else ""
        raise CatalogError(f"{path} has no usable interaction.{reason}")
    arrays = (np.array(user, np.int32), np.array(item, np.int32), np.array(date), np.array(weight))
    notes = table.notes
    if not has_weights and _RATING in map(plain, table.columns or ()):
        notes += ("The column rating is not read; --weight-column rating makes it the weight.",)
    days = None if dates.are_numbers else np.array(day, np.int64)
    return Interactions(tuple(users), tuple(items), *arrays, days, has_weights, notes), failures  # type: ignore[arg-type]


def _cells(row: Row, names: Sequence[str], dates: Dates) -> tuple[str, str, tuple[float, int], float]:
    user_id, item_id, date, weight = (row.cells.get(name, "").strip() for name in names)
    for name, cell in zip(names, (user_id, item_id, date), strict=False):
        if not cell:
            raise ValueError(f"has no {name}")
    try:
        number = float(weight) if weight else 1.0
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        comma = ", written with a point: 3.5" if "," in weight else ""
        raise ValueError(f"has the weight {weight!r}; a weight is a number above zero{comma}")
    return user_id, item_id, dates.read(date), number


def days_of(dates: np.ndarray) -> np.ndarray:
    """Return the calendar day of numbers that stand for dates, [n], int64."""
    least = float(np.min(dates)) if len(dates) else math.inf
    unit = next((unit for start, unit in reversed(_UNITS) if start <= least < math.inf), None)
    return np.floor(dates if unit is None else dates / (unit * _SECONDS_A_DAY)).astype(np.int64)


class Dates:
    """Turns dates into numbers. The first row decides what dates are: two kinds in one table have no common order."""

    def __init__(self) -> None:
        self.are_numbers: bool | None = None
        self._known: dict[str, tuple[float, int]] = {}  # a table of many rows has few days

    def number(self, text: str) -> float:
        """Return a date in days since 1970 (UTC), and a number as it is; errors as ``read``."""
        return self.read(text)[0]

    def read(self, text: str) -> tuple[float, int]:
        """Return a date in days since 1970 (UTC) and the day that is written; a number as it is, and 0.

        Raises:
            ValueError: it is neither, or not of the kind of the first; the message goes on after "the row".
        """
        if (known := self._known.get(text)) is not None:
            return known
        number, day = _as_number(text)
        is_number = day is None
        if self.are_numbers is None:
            self.are_numbers = is_number
        elif self.are_numbers != is_number:
            kinds = ("a number", "dates") if is_number else ("a date", "numbers")
            raise ValueError(f"has {kinds[0]}, {text!r}, as its date; the rows before it have {kinds[1]}")
        if len(self._known) < _DATES_KEPT:
            self._known[text] = number, day or 0
        return number, day or 0


# Ten years of days fit many times over; a table with a clock time in each row must not be kept twice.
_DATES_KEPT = 100_000


def _as_number(text: str) -> tuple[float, int | None]:
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(number):
            return number, None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"has the date {text!r}; write it as 2020-09-22 or 2020-09-22T18:30:00, or as a number"
        ) from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / _SECONDS_A_DAY
    return since, moment.toordinal() - _DAY_ZERO
