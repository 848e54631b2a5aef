"""The query to an index: one combination of vectors, or several where a history holds several interests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend.explanation import Part
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.recommend.interests import split_interests
from vlm4rec_edge.recommend.profile import Combination, ProfileSettings, event_weights, rocchio
from vlm4rec_edge.recommend.source import ItemSource, as_asked, query_vectors


@dataclass(frozen=True)
class Interest:
    """One interest of a shopper: a combination of vectors, what its parts stand for, and its weight in the history."""

    combination: Combination
    parts: Sequence[Part]
    weight: float


@dataclass(frozen=True)
class Query:
    """The interests of one shopper, at least one."""

    interests: Sequence[Interest]


def query_of(
    source: ItemSource,
    rows: Mapping[str, int],
    history: History,
    settings: ProfileSettings,
    *,
    disliked: Sequence[str] = (),
    text: tuple[str, np.ndarray] | None = None,
) -> Query:
    """Return the query of a history, disliked items and a text with its vector; ids that ``rows`` lacks are passed over.

    Each interest is a combination of its own part of the history and of all that is disliked and asked for in words.

    Raises:
        UsageError: weights or times are out of range, or nothing is left of the sum.
    """
    liked, weights = _weighted(history, rows, settings)
    away = [item for item in disliked if item in rows]
    vectors = query_vectors(source, [rows[item] for item in (*liked, *away)])
    liked_vectors, away_vectors = vectors[: len(liked)], vectors[len(liked) :]
    if len(liked) and not liked_vectors.any():  # only where items are compared by their photos
        raise UsageError(
            "No item of this history has a vector of its photo; `vlm4rec-edge index` with --photo-vectors makes what is "
            "missing."
        )
    text_vectors = vectors[:0] if text is None else as_asked(source, text[1])[None]
    shared = [Part(item, "disliked") for item in away] + ([] if text is None else [Part(text[0], "text")])
    interests = []
    for members in _members(liked_vectors, weights, settings.interests):
        own = weights[members]
        try:
            combination = rocchio(liked_vectors[members], own, away_vectors, text_vectors, settings)
        except ValueError as error:
            raise UsageError(str(error)) from None
        parts = [Part(liked[place], "liked") for place in members.tolist()] + shared
        interests.append(Interest(combination, parts, float(own.sum())))
    return Query(interests)


def _weighted(history: History, rows: Mapping[str, int], settings: ProfileSettings) -> tuple[list[str], np.ndarray]:
    """Return the known items of a history that count, and how much each does."""
    known = [place for place, item in enumerate(history.items) if item in rows]
    weights, times = (
        None if values is None else [values[place] for place in known] for values in (history.weights, history.times)
    )
    counted = event_weights(len(known), settings, weights=weights, times=times)
    places = [place for place, weight in zip(known, counted, strict=True) if weight > 0]
    return [history.items[place] for place in places], counted[counted > 0]


def _members(vectors: np.ndarray, weights: np.ndarray, interests: int) -> list[np.ndarray]:
    """Return the positions of the vectors of each interest; of all, perhaps none, where there is only one."""
    if interests == 1 or not len(vectors):
        return [np.arange(len(vectors))]
    labels = split_interests(vectors, weights, interests)
    return [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
