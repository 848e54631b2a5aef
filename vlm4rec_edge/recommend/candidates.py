"""The nearest items that may be shown, whatever is left out: right even where few are left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from vlm4rec_edge.index import EXACT_LIMIT, Found, VectorIndex
from vlm4rec_edge.index.exact import best_of
from vlm4rec_edge.recommend.selection import Admission
from vlm4rec_edge.recommend.source import FilteringIndex, ItemSource

# When too few of the best rows may be shown, so many times more are looked at.
_WIDEN = 2
# A row that the index is asked for costs as much as scanning about so many rows one by one: the graph looks at two
# places for each, and compares the links of each place.
_SCANNED_PER_ROW = 16
# A filter need not leave out evenly, so a little more is looked at than an even one would need.
_MARGIN = 1.5
# Vectors that are read for a scan at a time: 12 MB at 384 dimensions.
_SCAN_BLOCK = 8192


@dataclass(frozen=True)
class Ranked:
    """Items, nearest first: their ids, rows [n] int64, scores [n] float32, and groups [n], unless none were asked for."""

    ids: list[str]
    rows: np.ndarray
    scores: np.ndarray
    groups: np.ndarray | None


def nearest_items(
    source: ItemSource, index: VectorIndex, query: np.ndarray, count: int, admission: Admission
) -> Ranked:
    """Return the ``count`` admitted items nearest to ``query`` [dimensions], one a group; fewer where there are fewer.

    More and more of the nearest rows are looked at until enough items are found, because rows may be left out, shared by
    items, or without an item. Equal scores come in the order of their rows, and within a row of their ids.
    """
    none = np.zeros(0, np.int64)
    found = Ranked([], none, np.zeros(0, np.float32), None if admission.groups is None else none)
    for rows, scores in _nearest_rows(source, index, query, count, admission):
        found = _items_at(source, rows, scores, count, admission)
        if len(found.ids) >= count or scores[-1] < admission.min_score:
            break
    return found


def _nearest_rows(
    source: ItemSource, index: VectorIndex, query: np.ndarray, count: int, admission: Admission
) -> Iterator[Found]:
    """Yield the nearest rows and their scores, best first, longer each time, until they are all that may be shown.

    What the filter leaves of a large index is scanned, exactly, where it is no more than a small index holds: an approximate
    index misses much of what lies beyond the neighbours that the filter left out. Otherwise the index is asked while that
    costs less than such a scan.
    """
    admitted = admission.rows
    needed = count + len(admission.excluded)
    if admission.condition is not None:
        yield from _nearest_fulfilling(index, query, needed, admission.condition)
        return
    if admitted is not None and 0 < len(admitted) < source.rows:
        needed = int(count * source.rows / len(admitted) * _MARGIN) + len(admission.excluded)
    always_scanned = EXACT_LIMIT if source.rows > EXACT_LIMIT else 0
    while admitted is None or len(admitted) > max(always_scanned, _SCANNED_PER_ROW * min(needed, source.rows)):
        yield index.top(query, min(needed, source.rows))
        if needed >= source.rows:
            return
        needed *= _WIDEN
    rows, scores = _scan(source, query, admitted)
    needed = count + len(admission.excluded)
    while len(rows):
        yield rows[:needed], scores[:needed]
        if needed >= len(rows):
            return
        needed *= _WIDEN


def _nearest_fulfilling(index: VectorIndex, query: np.ndarray, needed: int, condition: str) -> Iterator[Found]:
    """Yield the same where the index applies the filter."""
    while True:
        found = cast("FilteringIndex", index).top_where(query, needed, condition)
        if len(found[0]):
            yield found
        if len(found[0]) < needed:
            return
        needed *= _WIDEN


def _scan(source: ItemSource, query: np.ndarray, rows: np.ndarray) -> Found:
    """Return all of ``rows`` and their scores, best first."""
    scores = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _SCAN_BLOCK):
        block = slice(start, start + _SCAN_BLOCK)
        scores[block] = source.vectors_at(rows[block]) @ query.astype(np.float32, copy=False)
    best = best_of(scores, rows, len(rows))
    return rows[best], scores[best]


def _items_at(source: ItemSource, rows: np.ndarray, scores: np.ndarray, count: int, admission: Admission) -> Ranked:
    """Return the first ``count`` admitted items of some rows with their scores, in the order of the rows."""
    enough = scores.astype(np.float64) >= admission.min_score
    rows, scores = rows[enough], scores[enough]
    if not admission.by_position:
        in_order = rows.tolist()
        ids_at = source.ids_at(in_order)
        found = [
            (item_id, place)
            for place, row in enumerate(in_order)
            for item_id in ids_at.get(row, ())
            if item_id not in admission.excluded and (admission.allowed is None or item_id in admission.allowed)
        ][:count]
        places = np.array([place for _, place in found], dtype=np.int64)
        return Ranked([item_id for item_id, _ in found], rows[places], scores[places], None)
    table = source.table()
    positions, places = table.positions_at(rows)
    if admission.mask is not None:
        kept = admission.mask[positions]
        positions, places = positions[kept], places[kept]
    groups = None
    if admission.groups is not None:
        groups = admission.groups[positions]
        first = np.sort(np.unique(groups, return_index=True)[1])[:count]
        positions, places, groups = positions[first], places[first], groups[first]
    positions, places = positions[:count], places[:count]
    return Ranked([table.ids[position] for position in positions.tolist()], rows[places], scores[places], groups)
