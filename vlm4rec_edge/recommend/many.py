"""The answers of many users, computed in blocks: the same answers as one by one, at the speed of matrix products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.index import AsksMany, Found, LargeIndex, VectorIndex
from vlm4rec_edge.index.exact import best_of
from vlm4rec_edge.recommend.choice import choose
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.recommend.ids import KnownIds
from vlm4rec_edge.recommend.popularity import most_popular
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.query import Query, query_of
from vlm4rec_edge.recommend.selection import Selection, Selector
from vlm4rec_edge.recommend.source import FilteringIndex, ItemSource

# Scores of a block of users and all vectors, float32: 64 MB. Larger blocks are no faster.
_SCORE_BYTES = 64 * 1024 * 1024
_BYTES_A_SCORE = 4
# More users than this gain nothing either, and their histories are looked up together.
_MOST_USERS = 1024
# Vectors read for one matrix product: 12 MB at 384 dimensions.
_CHUNK_ROWS = 8192
# What a saved index is asked for beyond k, for histories and vectors without items; who needs more asks again alone.
_SPARE = 32


@dataclass(frozen=True)
class Answer:
    """What is recommended to one user.

    Attributes:
        user: As in the history.
        items: Ids, best first.
        scores: As in ``Recommendation``.
        basis: ``history`` or ``popularity``.
        unknown: Items of the history that the index does not hold.
        reason: Why there can be no answer; empty where there is one, though no item may be admitted.
    """

    user: str
    items: Sequence[str]
    scores: Sequence[float]
    basis: str = "history"
    unknown: Sequence[str] = ()
    reason: str = ""


def answer_many(
    source: ItemSource,
    index: VectorIndex,
    selector: Selector,
    ids: KnownIds,
    histories: Iterable[History],
    k: int,
    *,
    settings: ProfileSettings,
    selection: Selection,
    popularity: str | None,
) -> Iterator[Answer]:
    """Yield an answer to each history, in order; holds the scores of one block at a time.

    What is already answered for a block is handed to the same code that answers a single user, so both answer alike.
    Only items whose scores differ by nothing but rounding may come in another order.
    """
    saved = index.saved() if isinstance(index, LargeIndex) else index if isinstance(index, AsksMany) else None
    fitting = _MOST_USERS if saved else _SCORE_BYTES // (_BYTES_A_SCORE * source.rows * settings.interests)
    block = max(1, min(_MOST_USERS, fitting))
    remaining = iter(histories)
    popular: tuple[list[str], list[float]] | None = None
    while users := list(islice(remaining, block)):
        asked = list(dict.fromkeys(item for user in users for item in user.items))
        found = ids.look_up(asked)
        rows, written = found.rows, dict(zip(asked, found.ids, strict=True))
        if found.ids != asked:
            users = [replace(user, items=[written[item] for item in user.items]) for user in users]
        queries = [_query(source, rows, user, settings) for user in users]
        vectors = [part.combination.vector for query in queries if isinstance(query, Query) for part in query.interests]
        answered = _Answered(index, vectors, _top_of_block(source, saved, vectors, k + _SPARE))
        for user, query in zip(users, queries, strict=True):
            unknown = [item for item in dict.fromkeys(user.items) if item not in rows]
            if isinstance(query, Query):
                left_out = set(user.items) if selection.exclude_history else set()
                admission = selector.admission(selection, left_out)
                chosen = choose(
                    source, answered, query, k, admission, merge=settings.merge, diversity=selection.diversity
                )
                yield Answer(user.user, chosen.ids, chosen.scores.tolist(), unknown=unknown)
            elif popularity is not None and len(unknown) == len(set(user.items)):
                if popular is None:
                    popular = most_popular(source, popularity, k, selector.admission(selection, by_position=True))
                yield Answer(user.user, *popular, basis="popularity", unknown=unknown)
            else:
                yield Answer(user.user, [], [], unknown=unknown, reason=query)


def _query(source: ItemSource, rows: Mapping[str, int], user: History, settings: ProfileSettings) -> Query | str:
    """Return the query of a history, or why it has none."""
    if not user.items:
        return "The history is empty."
    if not any(item in rows for item in user.items):
        return "The index holds no item of the history."
    try:
        return query_of(source, rows, user, settings)
    except UsageError as error:
        return str(error)


class _Answered:
    """An index that knows what was asked for a block, and asks the index behind it for anything else."""

    def __init__(self, index: VectorIndex, queries: Sequence[np.ndarray], found: np.ndarray | list[Found]) -> None:
        self._index = index
        self._found = found
        self._places = {query.tobytes(): place for place, query in enumerate(queries)}

    @property
    def name(self) -> str:
        """``exact`` or ``hnsw``."""
        return self._index.name

    def top(self, query: np.ndarray, count: int) -> Found:
        """Return the best rows and their scores, best first."""
        place = self._places.get(query.tobytes())
        if place is not None and isinstance(self._found, np.ndarray):
            scores = self._found[place]
            best = best_of(scores, None, count)
            return best, scores[best]
        if place is not None and count <= len(self._found[place][0]):
            rows, scores = self._found[place]
            return rows[:count], scores[:count]
        return self._index.top(query, count)

    def top_where(self, query: np.ndarray, count: int, condition: str) -> Found:
        """Return the same of the rows that fulfil a condition."""
        return cast("FilteringIndex", self._index).top_where(query, count, condition)


def _top_of_block(
    source: ItemSource, saved: AsksMany | None, queries: Sequence[np.ndarray], count: int
) -> np.ndarray | list[Found]:
    """Return the scores of all vectors [queries, rows], float32, or, with a saved index, the best rows and their scores."""
    if not queries:
        return []
    stacked = np.stack(queries)
    if saved is not None:
        return saved.top_many(stacked, min(count, source.rows))
    scores = np.empty((len(queries), source.rows), np.float32)
    for start in range(0, source.rows, _CHUNK_ROWS):
        rows = np.arange(start, min(start + _CHUNK_ROWS, source.rows))
        np.matmul(stacked, source.vectors_at(rows).T, out=scores[:, start : start + len(rows)])
    return scores
