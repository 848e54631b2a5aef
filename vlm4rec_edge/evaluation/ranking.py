"""What a system recommends to every user of a split, block by block, so that users x items never lie in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.split import Split
from vlm4rec_edge.index.exact import best_of
from vlm4rec_edge.recommend.profile import ProfileSettings, combine, event_weights, mean_profile

# A system to be compared: it gets positions of users in its split and returns their scores of all items, a new array
# [users, items], float32; higher is better, and items of minus infinity are never recommended.
Scorer = Callable[[range], np.ndarray]
Profile = Callable[[np.ndarray], np.ndarray]

# Scores held at a time: large enough for fast matrix products, small beside everything else.
_BLOCK_BYTES = 32 * 1024 * 1024
_SCORE_BYTES = 4
# Keep the random numbers for equal scores apart from those of the random ranking with the same seed.
_TIES, _SCORES = 1, 2


@dataclass(frozen=True)
class Ranking:
    """What one system recommends to the users of a split.

    Attributes:
        top: The best items, best first, [users, depth], int32; -1 where there are no more.
        hits: Which of them are test items, [users, depth], bool.
        first_hit: Rank from 1 of the best test item among all candidates, [users], int64; 0 where none can be ranked.
    """

    top: np.ndarray
    hits: np.ndarray
    first_hit: np.ndarray


def rank(
    scorer: Scorer,
    split: Split,
    *,
    depth: int = 10,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> Ranking:
    """Return what ``scorer`` recommends: the ``depth`` best candidates of every user, what is excluded left out.

    Items of equal score are put in a random order for each user. A catalog's own order often goes with time: where many
    items share a text, it would make a system look up to twice as good or as bad as it is.

    Args:
        scorer: The system.
        split: The users; its ``excluded`` items are masked.
        depth: How many items are recommended.
        seed: Of the order of equal scores.
        on_progress: Called after every block with how many users are done.
    """
    top = np.full((len(split), depth), -1, np.int32)
    hits = np.zeros((len(split), depth), bool)
    first_hit = np.zeros(len(split), np.int64)
    block = users_per_block(split.item_count)
    for start in range(0, len(split), block):
        users = range(start, min(start + block, len(split)))
        for user, scores in zip(users, scorer(users), strict=True):
            scores[split.excluded[user]] = -np.inf
            order = np.random.default_rng((_TIES, seed, user)).random(len(scores), np.float32)
            best = best_of(scores, order, depth)
            best = best[np.isfinite(scores[best])]
            test = split.test[user]
            top[user, : len(best)] = best
            hits[user, : len(best)] = np.isin(best, test)
            first_hit[user] = _first_rank(scores, order, test)
        if on_progress is not None:
            on_progress(users.stop)
    return Ranking(top, hits, first_hit)


def users_per_block(items: int) -> int:
    """Return for how many users the scores of so many items are computed together."""
    return max(1, _BLOCK_BYTES // (_SCORE_BYTES * max(items, 1)))


def _first_rank(scores: np.ndarray, order: np.ndarray, test: np.ndarray) -> int:
    best = test[np.lexsort((order[test], -scores[test]))[0]]
    if not np.isfinite(scores[best]):
        return 0
    is_equal = scores == scores[best]
    return 1 + int((scores > scores[best]).sum()) + int((order[is_equal] < order[best]).sum())


def profile_scorer(
    split: Split,
    vectors: np.ndarray,
    rows: np.ndarray | None = None,
    *,
    profile: Profile = mean_profile,
    settings: ProfileSettings | None = None,
    weighted: bool = False,
) -> Scorer:
    """Return the package's own matcher: the cosine between a profile of the history and each item.

    Args:
        split: The users.
        vectors: Unit vectors [rows, dimensions], float32; may be a memory map.
        rows: The row of each item, [items]; items of one row have exactly equal scores. Default: item ``i`` has row ``i``.
        profile: From the vectors of a history [n, dimensions] to one unit vector; a history for which it raises
            ``ValueError`` gets no recommendation.
        settings: In place of ``profile``, the package's own settings: ``last``, and ``half_life`` in the unit of the dates.
        weighted: Whether the weights of the interactions count; needs ``settings``.

    Raises:
        UsageError: ``settings`` ask for several interests, which have no single score.
    """
    if settings is not None and settings.interests > 1:
        raise UsageError("A profile of several interests has no single score; evaluate one interest.")
    own = np.arange(split.item_count) if rows is None else np.asarray(rows)
    is_in_order = len(own) == len(vectors) and np.array_equal(own, np.arange(len(own)))

    def scorer(users: range) -> np.ndarray:
        profiles = np.zeros((len(users), vectors.shape[1]), np.float32)
        has_none = []
        for place, user in enumerate(users):
            try:
                history = vectors[own[split.history[user]]]
                profiles[place] = (
                    profile(history) if settings is None else _by_settings(split, user, history, settings, weighted)
                )
            except (ValueError, UsageError):
                has_none.append(place)
        scores = np.asarray(profiles @ vectors.T)
        if not is_in_order:
            scores = scores[:, own]
        scores[has_none] = -np.inf
        return scores

    return scorer


def _by_settings(split: Split, user: int, history: np.ndarray, settings: ProfileSettings, weighted: bool) -> np.ndarray:
    events = slice(split.history.starts[user], split.history.starts[user + 1])
    weights = event_weights(
        len(history),
        settings,
        weights=split.weights[events].tolist() if weighted else None,
        times=split.dates[events].tolist(),
    )
    return combine(history, weights).vector


def popularity_scorer(split: Split) -> Scorer:
    """Return the system that recommends to everybody what most users have in their training data."""
    counts = split.counts.astype(np.float32)
    return lambda users: np.tile(counts, (len(users), 1))


def random_scorer(split: Split, seed: int = 0) -> Scorer:
    """Return the system that knows nothing. A user's scores depend on the seed and on his place in the split only."""

    def scorer(users: range) -> np.ndarray:
        draws = [np.random.default_rng((_SCORES, seed, user)).random(split.item_count, np.float32) for user in users]
        return np.stack(draws)

    return scorer
