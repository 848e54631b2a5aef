"""The nearest items that may be shown, whatever is left out: right even where few are left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.index import VectorIndex
from vlm4rec_edge.index.exact import best_of
from vlm4rec_edge.recommend.selection import Admission
from vlm4rec_edge.recommend.source import ItemSource

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

    The index is asked for more and more rows until enough items are found, because rows may be left out, shared by
    items, or without an item. Where that costs more than to look at every row that the filter leaves, those are scanned,
    exactly. Equal scores come in the order of their rows, and within a row of their ids.
    """
    admitted = admission.rows
    everything = source.rows if admitted is None else len(admitted)
    if everything == 0:
        return _none(admission)
    share = everything / source.rows
    looked_at = count if share == 1 else int(count / share * _MARGIN)
    looked_at += len(admission.excluded)
    scanned: tuple[np.ndarray, np.ndarray] | None = None
    while True:
        looked_at = min(looked_at, source.rows)
        if scanned is None and admitted is not None and everything <= _SCANNED_PER_ROW * looked_at:
            scanned = _scan(source, query, admitted)
            looked_at = min(count + len(admission.excluded), everything)
        if scanned is None:
            rows, scores = index.top(query, looked_at)
            is_all = looked_at >= source.rows
        else:
            rows, scores = (part[:looked_at] for part in scanned)
            is_all = looked_at >= everything
        found = _items_at(source, rows, scores, count, admission)
        is_below = len(scores) > 0 and scores[-1] < admission.min_score
        if len(found.ids) >= count or is_all or is_below:
            return found
        looked_at *= _WIDEN


def _scan(source: ItemSource, query: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all of ``rows`` and their scores, best first."""
    blocks = [rows[start : start + _SCAN_BLOCK] for start in range(0, len(rows), _SCAN_BLOCK)]
    scores = np.concatenate([source.vectors_at(block) @ query.astype(np.float32, copy=False) for block in blocks])
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
        first = np.sort(np.unique(groups, return_index=True)[1])
        positions, places, groups = positions[first], places[first], groups[first]
    positions, places = positions[:count], places[:count]
    if groups is not None:
        groups = groups[:count]
    return Ranked([table.ids[position] for position in positions.tolist()], rows[places], scores[places], groups)


def _none(admission: Admission) -> Ranked:
    groups = None if admission.groups is None else np.zeros(0, np.int64)
    return Ranked([], np.zeros(0, np.int64), np.zeros(0, np.float32), groups)
