"""Every user gets the best candidates of a system, what is excluded never, ties without favour, in blocks of any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_interactions import interactions_of, random_rows
from made_store import random_vectors

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation import (
    Split,
    chronological_split,
    popularity_scorer,
    profile_scorer,
    random_scorer,
    rank,
    ranking,
    without_variants,
)
from vlm4rec_edge.recommend.profile import ProfileSettings

IDS = [f"item-{number}" for number in range(60)]


@pytest.fixture(scope="module")
def split() -> Split:
    """Users with some items each."""
    return chronological_split(interactions_of(random_rows(users=50, items=60, rows=600, seed=2)), IDS)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """A vector an item."""
    return random_vectors(60, 16, seed=4)


def test_the_best_are_those_nearest_to_the_mean_of_the_history(split: Split, vectors: np.ndarray) -> None:
    found = rank(profile_scorer(split, vectors), split, depth=7)
    for user in range(len(split)):
        history = set(split.history[user].tolist())
        scores = vectors @ vectors[split.history[user]].mean(axis=0)
        order = [item for item in np.argsort(-scores).tolist() if item not in history]
        assert found.top[user].tolist() == order[:7]
        ranks = [order.index(item) + 1 for item in split.test[user]]
        assert found.first_hit[user] == min(ranks)
        assert np.flatnonzero(found.hits[user]).tolist() == sorted(place - 1 for place in ranks if place <= 7)


def test_what_is_excluded_is_never_recommended(split: Split) -> None:
    groups = np.arange(60) // 3
    for users in (split, without_variants(split, groups)):
        for scorer in (popularity_scorer(users), random_scorer(users)):
            found = rank(scorer, users, depth=60)
            for user in range(len(users)):
                recommended = [item for item in found.top[user].tolist() if item >= 0]
                assert sorted([*recommended, *users.excluded[user].tolist()]) == list(range(60))


@pytest.mark.parametrize("block_bytes", [1, 1000, 10**9])
def test_the_answer_does_not_depend_on_the_size_of_a_block(
    split: Split, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    scorers = (profile_scorer(split, vectors), popularity_scorer(split), random_scorer(split, seed=3))
    expected = [rank(scorer, split) for scorer in scorers]
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", block_bytes)
    for scorer, want in zip(scorers, expected, strict=True):
        found = rank(scorer, split)
        assert np.array_equal(found.top, want.top)
        assert np.array_equal(found.first_hit, want.first_hit)


def test_no_more_scores_are_held_than_a_block_has(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", 7 * 60 * 4)
    sizes = []
    popular = popularity_scorer(split)
    rank(lambda users: sizes.append(len(users)) or popular(users), split)
    assert max(sizes) == 7
    assert sum(sizes) == len(split)


def test_items_of_one_row_have_one_score(split: Split) -> None:
    rows = np.arange(60) % 9
    scores = profile_scorer(split, random_vectors(9, 16), rows)(range(len(split)))
    assert scores.shape == (len(split), 60)
    assert np.array_equal(scores[:, :9], scores[:, 9:18])


def test_equal_scores_favour_no_item() -> None:
    """Over many users each of the equal items comes first about as often as any other."""
    rows = [(f"user-{user}", IDS[item], item) for user in range(2000) for item in range(5)]
    users = chronological_split(interactions_of(rows), IDS[:25])
    found = rank(lambda block: np.zeros((len(block), 25), np.float32), users, depth=1)
    times = np.bincount(found.top[:, 0], minlength=25)
    assert times[:4].sum() == 0, "the history"
    assert times[4:].min() > 50, "2000 users, 21 items: about 95 each"
    assert times[4:].max() < 150
    share_of_first = (found.first_hit == 1).mean()
    assert share_of_first == found.hits.mean()


def test_the_rank_of_the_first_hit_agrees_with_the_list_among_equal_scores(split: Split) -> None:
    coarse = profile_scorer(split, random_vectors(4, 8), np.arange(60) % 4)
    found = rank(coarse, split, depth=60)
    for user in range(len(split)):
        assert found.first_hit[user] == np.flatnonzero(found.hits[user])[0] + 1


def test_a_history_without_direction_gets_nothing_and_the_others_theirs(split: Split) -> None:
    vectors = random_vectors(60, 16)
    lost = split.history[3].tolist()

    def profile(history: np.ndarray) -> np.ndarray:
        if np.array_equal(history, vectors[lost]):
            raise ValueError("no direction")
        return np.asarray(history.mean(axis=0))

    found = rank(profile_scorer(split, vectors, profile=profile), split)
    assert (found.top[3] == -1).all()
    assert found.first_hit[3] == 0
    assert (np.delete(found.top, 3, axis=0) >= 0).all()


@pytest.mark.parametrize("is_reduced", [False, True])
def test_settings_weigh_a_history_by_its_dates_and_weights(vectors: np.ndarray, is_reduced: bool) -> None:
    rows = random_rows(users=50, items=60, rows=600, seed=2)
    chance = np.random.default_rng(1)
    interactions = replace(interactions_of(rows), weight=chance.integers(1, 6, len(rows)).astype(float))
    weight_of: dict[tuple[str, str], tuple[float, float]] = {}
    for (user, item, date), weight in zip(rows, interactions.weight.tolist(), strict=True):
        if (user, item) not in weight_of or date < weight_of[user, item][0]:
            weight_of[user, item] = (date, weight)
    users = chronological_split(interactions, IDS)
    if is_reduced:
        users = without_variants(users, np.arange(60) // 2)
    settings = ProfileSettings(half_life=3, last=4)
    scores = profile_scorer(users, vectors, settings=settings, weighted=True)(range(len(users)))
    for user, name in enumerate(users.users):
        newest = users.history[user][-4:]
        dates, weights = zip(*(weight_of[name, IDS[item]] for item in newest), strict=True)
        counted = np.array(weights) * 0.5 ** ((max(dates) - np.array(dates)) / 3)
        profile = counted @ vectors[newest]
        assert scores[user] == pytest.approx(vectors @ profile / np.linalg.norm(profile), abs=1e-5)


def test_the_settings_of_the_paper_are_the_mean(split: Split, vectors: np.ndarray) -> None:
    everybody = range(len(split))
    assert profile_scorer(split, vectors, settings=ProfileSettings())(everybody) == pytest.approx(
        profile_scorer(split, vectors)(everybody), abs=1e-6
    )
    with pytest.raises(UsageError, match="several interests"):
        profile_scorer(split, vectors, settings=ProfileSettings(interests=2))


def test_chance_is_repeated_by_its_seed(split: Split) -> None:
    first, again, other = (rank(random_scorer(split, seed), split).top for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
