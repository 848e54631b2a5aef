"""Which items may be shown, and how many of a kind: what a user asks for, and what it means for one index."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from vlm4rec_edge.columns import group_codes
from vlm4rec_edge.errors import UsageError, Vlm4RecWarning
from vlm4rec_edge.given import number_of, text_of
from vlm4rec_edge.items import item_ids
from vlm4rec_edge.recommend.filter import admitted_by, ids_compared
from vlm4rec_edge.recommend.ids import KnownIds, named
from vlm4rec_edge.recommend.source import FilteringSource, ItemSource
from vlm4rec_edge.recommend.where import parse_where

# Filters and groupings whose result is kept: a byte an item each, so 32 MB for a million items.
_KEPT = 32


@dataclass(frozen=True)
class Selection:
    """What may be recommended; the default is everything but the history.

    Attributes:
        where: A filter over the item's columns, such as ``audience = 'Menswear' and price < 40``; the grammar is that of
            ``vlm4rec_edge.recommend.where``.
        allow: Only these items, any iterable of ids, texts or whole numbers, read once and kept as texts; None: all.
        deny: None of these items, likewise. An id that the index does not hold is reported by a ``Vlm4RecWarning`` and in
            ``Recommendations.unknown``; asking with an ``allow`` of which nothing is known is an ``UnknownItemError``.
        one_per: At most one item for each value of this column; ``column:7`` compares the first 7 characters. Items
            without a value do not count as alike.
        diversity: From 0, the nearest items, to 1, items as different as can be. Above 0 items come in the order in which
            they are chosen, not in that of their scores.
        min_score: Only items with at least this score.
        exclude_history: Whether the history itself is left out. Disliked items always are.

    Raises:
        UsageError: ``diversity`` is not from 0 to 1, an id is none, or a text or a number is none.
    """

    where: str | None = None
    allow: Collection[Any] | None = None
    deny: Collection[Any] = ()
    one_per: str | None = None
    diversity: float = 0.0
    min_score: float = -np.inf
    exclude_history: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("diversity", "min_score"):
            object.__setattr__(self, name, number_of(getattr(self, name), f"The setting {name} of a selection"))
        if not 0 <= self.diversity <= 1:
            raise UsageError(f"The diversity is {self.diversity:g}; it goes from 0 to 1.")
        if np.isnan(self.min_score):
            raise UsageError("The minimum score is not a number.")
        for name in ("where", "one_per"):
            if (value := getattr(self, name)) is not None:
                text_of(value, f"The setting {name} of a selection")
        object.__setattr__(self, "deny", frozenset(item_ids(self.deny, "Items to deny")))
        if self.allow is not None:
            object.__setattr__(self, "allow", frozenset(item_ids(self.allow, "Items to allow")))


@dataclass(frozen=True)
class Admission:
    """A selection as it applies to one index and one query.

    Attributes:
        rows: Rows that hold an item which may be admitted, ascending, int64; None: any row.
        excluded: Ids that are left out, where there is no ``mask``.
        allowed: The only ids that are not, or None; where there is no ``mask``.
        mask: For each position of the item table whether the item is admitted; None: ids decide.
        groups: For each position the group of the item, of which one is shown; None: no groups.
        min_score: The least score.
        condition: A filter that the index itself applies, where its source is a ``FilteringSource``; None: none.
    """

    rows: np.ndarray | None
    excluded: frozenset[str]
    allowed: frozenset[str] | None
    mask: np.ndarray | None
    groups: np.ndarray | None
    min_score: float
    condition: str | None = None

    @property
    def by_position(self) -> bool:
        """Whether the item table decides."""
        return self.mask is not None or self.groups is not None


@dataclass(frozen=True)
class NamedItems:
    """The ids that a selection names, as one index writes them; ``unknown`` are those that it does not hold."""

    allow: frozenset[str] | None
    deny: frozenset[str]
    unknown: tuple[str, ...]


class Selector:
    """Applies selections to a source, and remembers the last filters. Safe to use from several threads."""

    def __init__(self, source: ItemSource, ids: KnownIds) -> None:
        self._source = source
        self._ids = ids
        self._filtering = source if isinstance(source, FilteringSource) else None
        self._named = lru_cache(_KEPT)(self._look_up)
        self._filtered = lru_cache(_KEPT)(self._filter)
        self._conditions = lru_cache(_KEPT)(self._condition)
        self._grouped = lru_cache(_KEPT)(self._group)

    def admission(
        self, selection: Selection, excluded: Collection[str] = (), *, by_position: bool = False
    ) -> Admission:
        """Return what ``selection`` means here, with ``excluded`` left out as well.

        Ids alone need no item table, nor does a filter that the source decides itself; with ``by_position`` they are put into
        the mask nevertheless.

        Raises:
            UsageError: the filter cannot be read, or a column is unknown.
        """
        meant = self.named_by(selection)
        out, allowed = meant.deny.union(excluded), meant.allow
        where = selection.where
        condition = None if where is None or by_position else self._conditions(where)
        where = where if condition is None else None
        by_position = by_position or where is not None or selection.one_per is not None
        groups = None if selection.one_per is None else self._grouped(selection.one_per)
        mask, rows = (None, None) if where is None else self._filtered(where)
        if allowed is not None:
            if condition is not None and self._filtering is not None:  # few are left, and they are looked at one by one
                allowed, condition = frozenset(self._filtering.ids_where(condition, allowed)), None
            rows_of_allowed = self._source.rows_of(allowed)
            own_rows = np.unique(np.fromiter(rows_of_allowed.values(), np.int64, len(rows_of_allowed)))
            rows = own_rows if rows is None else np.intersect1d(rows, own_rows, assume_unique=True)
            if by_position:
                mask = self._only(rows_of_allowed, mask)
        if out and by_position:
            table = self._source.table()
            mask = np.ones(len(table.ids), dtype=bool) if mask is None else mask.copy()
            mask[table.positions_of(self._source.rows_of(out))] = False
        return Admission(rows, out, allowed, mask, groups, selection.min_score, condition)

    def named_by(self, selection: Selection) -> NamedItems:
        """Return the items that ``selection`` names, by allowing or denying them or in its filter.

        The first time, unknown ids are reported by a ``Vlm4RecWarning``.

        Raises:
            UnknownItemError: none of the items that are allowed is known, so nothing is left.
            UsageError: the filter cannot be read.
        """
        return self._named(selection.allow, selection.deny, selection.where)  # type: ignore[arg-type]  # frozen sets

    def _look_up(self, allow: frozenset[str] | None, deny: frozenset[str], where: str | None) -> NamedItems:
        compared: list[str] = []
        if where is not None:
            table = self._source.table()
            compared = ids_compared(parse_where(where, table.names), table)
        lists = {"allowed": sorted(allow or ()), "denied": sorted(deny), "compared in the filter": compared}
        found = {how: self._ids.look_up(ids) for how, ids in lists.items()}
        if allow and not found["allowed"].rows:
            raise self._ids.error(found["allowed"].unknown)
        for how, each in found.items():
            if each.unknown:
                are = "are" if len(each.unknown) > 1 else "is"
                warnings.warn(
                    f"{self._source.folder} holds no item {named(each.unknown)}, which {are} {how}; "
                    f"{self._ids.hint(each.unknown)}",
                    Vlm4RecWarning,
                    stacklevel=2,
                )
        unknown = dict.fromkeys(item for each in found.values() for item in each.unknown)
        return NamedItems(
            None if allow is None else frozenset(found["allowed"].rows), frozenset(found["denied"].ids), tuple(unknown)
        )

    def _only(self, rows_of_allowed: Mapping[str, int], mask: np.ndarray | None) -> np.ndarray:
        table = self._source.table()
        allowed = np.zeros(len(table.ids), dtype=bool)
        allowed[table.positions_of(rows_of_allowed)] = True
        return allowed if mask is None else allowed & mask

    def _filter(self, where: str) -> tuple[np.ndarray, np.ndarray]:
        table = self._source.table()
        mask = admitted_by(parse_where(where, table.names), table)
        return mask, np.unique(table.rows[mask])

    def ids_admitted(self, where: str | None) -> Iterable[str]:
        """Return the ids of all items that a filter admits, or, without one, of all; in no order.

        Raises:
            UsageError: the filter cannot be read.
        """
        if where is None:
            return self._source.ids()
        if self._filtering is not None and (condition := self._conditions(where)) is not None:
            return self._filtering.ids_where(condition)
        table = self._source.table()
        return (table.ids[place] for place in self._filtered(where)[0].nonzero()[0].tolist())

    def _condition(self, where: str) -> str | None:
        tree = parse_where(where, self._source.table().names)
        return None if self._filtering is None else self._filtering.condition(tree)

    def _group(self, one_per: str) -> np.ndarray:
        return group_codes(self._source.table(), one_per)
