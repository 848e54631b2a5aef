"""From a query to the items that answer it: candidates of every interest, merged, and made diverse if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.index import VectorIndex
from vlm4rec_edge.recommend.candidates import Ranked, nearest_items
from vlm4rec_edge.recommend.diversity import diversify, pool_size
from vlm4rec_edge.recommend.interests import fair_places
from vlm4rec_edge.recommend.query import Query
from vlm4rec_edge.recommend.selection import Admission
from vlm4rec_edge.recommend.source import ItemSource, query_vectors


@dataclass(frozen=True)
class Choice:
    """Chosen items in the order in which they are shown: ids, rows, scores, and the interest of each, from 0."""

    ids: Sequence[str]
    rows: np.ndarray
    scores: np.ndarray
    interests: np.ndarray

    def at(self, places: Sequence[int]) -> Choice:
        """Return the items at ``places``, in that order."""
        order = np.array(places, dtype=np.int64)
        return Choice(
            [self.ids[place] for place in places], self.rows[order], self.scores[order], self.interests[order]
        )


def choose(
    source: ItemSource,
    index: VectorIndex,
    query: Query,
    k: int,
    admission: Admission,
    *,
    merge: str,
    diversity: float,
) -> Choice:
    """Return ``k`` admitted items, or all there are: best first, or, with ``diversity``, in the order of their choice.

    With several interests the score of an item is its cosine to the nearest of them.
    """
    count = k if diversity == 0 else pool_size(k)
    # Together they fill the pool; and each can answer alone, should the others find nothing but the same.
    each = max(k, -(-count // len(query.interests)))
    vectors = [interest.combination.vector for interest in query.interests]
    lists = [nearest_items(source, index, vector, each, admission) for vector in vectors]
    if len(lists) == 1:
        only = lists[0]
        chosen = Choice(only.ids, only.rows, only.scores, np.zeros(len(only.ids), dtype=np.int64))
    else:
        chosen = _merged(source, query, lists, count, merge)
    if diversity > 0:
        chosen = chosen.at(diversify(query_vectors(source, chosen.rows), chosen.scores, k, diversity))
    return chosen


def _merged(source: ItemSource, query: Query, lists: Sequence[Ranked], count: int, merge: str) -> Choice:
    # What may be shown once: a group, or, without groups, an item.
    keys = [ranked.ids if ranked.groups is None else ranked.groups.tolist() for ranked in lists]
    if merge == "quota":
        places = fair_places(keys, np.array([interest.weight for interest in query.interests]), count)
    else:
        places = [(number, place) for number, ranked in enumerate(lists) for place in range(len(ranked.ids))]
    ids = [lists[number].ids[place] for number, place in places]
    rows = np.array([lists[number].rows[place] for number, place in places], dtype=np.int64)
    scores = source.vectors_at(rows) @ np.array([interest.combination.vector for interest in query.interests]).T
    everything = Choice(ids, rows, scores.max(axis=1, initial=-np.inf), _argmax(scores))
    keyed = sorted(zip((-everything.scores).tolist(), rows.tolist(), ids, range(len(ids)), strict=True))
    order = [place for *_, place in keyed]
    seen: set[object] = set()
    distinct = []
    for place in order:
        number, own = places[place]
        if keys[number][own] not in seen:
            seen.add(keys[number][own])
            distinct.append(place)
    return everything.at(distinct[:count])


def _argmax(scores: np.ndarray) -> np.ndarray:
    return np.argmax(scores, axis=1) if len(scores) else np.zeros(0, dtype=np.int64)
