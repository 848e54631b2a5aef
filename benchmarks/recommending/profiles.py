"""How a history becomes a profile: the settings that ``knobs.py`` compares, as systems over one set of item vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recommending.system import System
from vlm4rec_edge import evaluation
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation import Scorer, Split
from vlm4rec_edge.index.exact import best_of
from vlm4rec_edge.recommend.interests import fair_places, split_interests
from vlm4rec_edge.recommend.profile import ProfileSettings, combine, event_weights

DEFAULT = "mean of all"
# Half-lives in days: a month, a season, a year.
_HALF_LIVES = (30, 90, 365)
KNOBS: Mapping[str, ProfileSettings] = {
    DEFAULT: ProfileSettings(),
    **{f"mean of the last {count}": ProfileSettings(last=count) for count in (5, 10, 20)},
    **{f"half-life {days} days": ProfileSettings(half_life=days) for days in _HALF_LIVES},
    **{
        f"{count} interests, {merge}": ProfileSettings(interests=count, merge=merge)
        for count in (2, 3, 5)
        for merge in ("quota", "best")
    },
}
_DEPTH = 10
# Figures of changed code are measured anew.
_CODE = Path(__file__).read_bytes()


def profile_systems(represented: str, vectors: np.ndarray) -> list[System]:
    """Return a system for each of ``KNOBS`` over the vectors of all items [items, dimensions]; the default comes first."""
    return [
        system_of_vectors(f"{represented}: {name}", "profile", repr(settings), vectors, settings)
        for name, settings in KNOBS.items()
    ]


def system_of_vectors(
    name: str, kind: str, about: str, vectors: np.ndarray, settings: ProfileSettings = KNOBS[DEFAULT]
) -> System:
    """Return the system that matches a profile of the history with the vectors of all items [items, dimensions], float32."""
    # Items of one text must have exactly equal scores, whatever the order of a sum.
    distinct, rows = np.unique(vectors, axis=0, return_inverse=True)
    rows = rows.reshape(-1)

    def scorer(split: Split) -> Scorer:
        if settings.interests > 1:
            return interests_scorer(split, distinct, rows, settings)
        return evaluation.profile_scorer(split, distinct, rows, settings=settings)

    key = f"{hashlib.sha256(vectors.tobytes() + _CODE).hexdigest()} {settings}"
    return System(name, kind, about, key, scorer, vectors.shape[1], int((~vectors.any(axis=1)).sum()))


def interests_scorer(split: Split, vectors: np.ndarray, rows: np.ndarray, settings: ProfileSettings) -> Scorer:
    """Return what the package recommends from a history of several interests: an item's score is its cosine to the nearest.

    ``best`` takes the nearest items, ``quota`` ten items of which every interest has its share; the others have minus
    infinity. Which of several items of equal score are among the ten, chance says, as in ``evaluation.rank``.
    """

    def scorer(users: range) -> np.ndarray:
        scores = np.full((len(users), len(rows)), -np.inf, np.float32)
        for place, user in enumerate(users):
            try:
                interests, importance = _interests(split, user, vectors[rows[split.history[user]]], settings)
            except (ValueError, UsageError):  # nothing is known of the history: nothing is recommended
                continue
            by_interest = np.asarray(interests @ vectors.T)[:, rows]
            nearest = by_interest.max(axis=0)
            if settings.merge == "best":
                scores[place] = nearest
                continue
            order = np.random.default_rng(user).random(len(rows))
            by_interest[:, split.excluded[user]] = -np.inf
            keys = [best_of(own, order, _DEPTH).tolist() for own in by_interest]
            chosen = [keys[number][own] for number, own in fair_places(keys, importance, _DEPTH)]
            scores[place, chosen] = nearest[chosen]
        return scores

    return scorer


def _interests(
    split: Split, user: int, history: np.ndarray, settings: ProfileSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Return a unit vector for each interest of a history, [interests, dimensions], and its weight."""
    start = split.history.starts[user]
    times = split.dates[start : start + len(history)].tolist()
    known = history.any(axis=1)
    weights = event_weights(len(history), settings, weights=None, times=times)[known]
    labels = split_interests(history[known], weights, settings.interests)
    parts = [labels == label for label in range(int(labels.max()) + 1)]
    vectors = np.stack([combine(history[known][own], weights[own]).vector for own in parts])
    return vectors, np.array([weights[own].sum() for own in parts])
