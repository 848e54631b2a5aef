"""What is asked of an index: one combination of vectors, or several where a history holds several interests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend.explanation import Part
from vlm4rec_edge.recommend.interests import split_interests
from vlm4rec_edge.recommend.profile import Combination, ProfileSettings, event_weights, rocchio
from vlm4rec_edge.recommend.source import ItemSource


@dataclass(frozen=True)
class Question:
    """The interests of one shopper.

    Attributes:
        interests: One combination an interest.
        parts: What the parts of each combination stand for.
        importance: The weight of each interest in the history, shape [interests].
    """

    interests: Sequence[Combination]
    parts: Sequence[Sequence[Part]]
    importance: np.ndarray


def question_of(
    source: ItemSource,
    rows: Mapping[str, int],
    *,
    history: Sequence[str],
    weights: Sequence[float] | None,
    times: Sequence[float] | None,
    disliked: Sequence[str],
    text: tuple[str, np.ndarray] | None,
    settings: ProfileSettings,
) -> Question:
    """Return the question that a history, disliked items and a text ask; ids that ``rows`` lacks are passed over.

    Each interest is a combination of its own part of the history and of all that is disliked and asked for in words.

    Raises:
        UsageError: weights or times do not fit the history, or nothing is left of the sum.
    """
    for name, values in (("weights", weights), ("times", times)):
        if values is not None and len(values) != len(history):
            raise UsageError(
                f"There are {len(values)} {name} for {len(history)} items of the history; give one for each."
            )
    known = [place for place, item_id in enumerate(history) if item_id in rows]
    counted = event_weights(
        len(known),
        settings,
        weights=None if weights is None else [weights[place] for place in known],
        times=None if times is None else [times[place] for place in known],
    )
    if not counted.all():
        known = [place for place, weight in zip(known, counted, strict=True) if weight > 0]
        counted = counted[counted > 0]
    liked = [history[place] for place in known]
    away = [item_id for item_id in disliked if item_id in rows]
    vectors = source.vectors_at([rows[item_id] for item_id in (*liked, *away)])
    liked_vectors, away_vectors = vectors[: len(liked)], vectors[len(liked) :]
    words, word_vectors = ([], vectors[:0]) if text is None else ([Part(text[0], "text")], text[1][None])
    groups = [(liked, liked_vectors, counted)]
    if settings.interests > 1 and liked:
        labels = split_interests(liked_vectors, counted, settings.interests)
        members = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
        groups = [([liked[place] for place in own], liked_vectors[own], counted[own]) for own in members]
    interests, parts, importance = [], [], []
    for own_items, own_vectors, own_weights in groups:
        try:
            interests.append(rocchio(own_vectors, own_weights, away_vectors, word_vectors, settings))
        except ValueError as error:
            raise UsageError(str(error)) from None
        parts.append(
            [Part(item_id, "liked") for item_id in own_items] + [Part(item_id, "disliked") for item_id in away] + words
        )
        importance.append(float(own_weights.sum()))
    return Question(interests, parts, np.array(importance))
