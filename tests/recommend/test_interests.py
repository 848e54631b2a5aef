"""A history of several tastes is split along them, always the same way, and each gets its share of the answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_store import random_vectors, unit, write_store

from vlm4rec_edge import Recommender
from vlm4rec_edge.recommend.interests import fair_places, split_interests
from vlm4rec_edge.recommend.profile import ProfileSettings

AXES = np.eye(4, 16, dtype=np.float32)


def _around(axis: int, count: int, seed: int = 1) -> np.ndarray:
    return unit(AXES[axis] + 0.02 * np.random.default_rng(seed).normal(size=(count, 16)))


def _groups(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def test_a_history_is_split_along_its_tastes() -> None:
    history = np.concatenate([_around(0, 5), _around(1, 3), _around(2, 9)])
    expected = {frozenset(range(5)), frozenset(range(5, 8)), frozenset(range(8, 17))}
    assert _groups(split_interests(history, np.ones(17), 3)) == expected


def test_the_order_of_a_history_does_not_change_its_interests() -> None:
    history = np.concatenate([_around(0, 5), _around(1, 3), _around(2, 9), random_vectors(6, 16)])
    groups = _groups(split_interests(history, np.ones(len(history)), 4))
    order = np.random.default_rng(3).permutation(len(history))
    turned = split_interests(history[order], np.ones(len(history)), 4)
    assert {frozenset(order[list(group)].tolist()) for group in _groups(turned)} == groups


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 50))
def test_interests_are_numbered_without_gaps_and_no_more_than_asked_for(size: int, count: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    history = random_vectors(4, 8, seed=seed)[chance.integers(0, 4, size)]  # some items several times
    labels = split_interests(history, chance.random(size) + 0.01, count)
    assert set(labels.tolist()) == set(range(labels.max() + 1))
    assert labels.max() < min(count, len(np.unique(history, axis=0)))


def test_an_item_bought_many_times_is_one_interest() -> None:
    assert split_interests(np.repeat(AXES[:1], 9, axis=0), np.ones(9), 3).tolist() == [0] * 9


def test_places_are_shared_by_importance_at_every_length() -> None:
    """The rule of Sainte-Lague with 53, 24 and 23 of a hundred votes and seven seats."""
    keys = [[f"{name}{place}" for place in range(20)] for name in "abc"]
    places = fair_places(keys, np.array([53, 24, 23]), 7)
    assert [sum(number == own for number, _ in places) for own in range(3)] == [3, 2, 2]
    for length in range(1, 8):
        assert fair_places(keys, np.array([53, 24, 23]), length) == places[:length]
    assert [place for number, place in places if number == 0] == [0, 1, 2]


def test_what_one_list_lacks_the_others_give_and_nothing_is_taken_twice() -> None:
    keys = [["x", "a"], ["x", "y", "z"], []]
    taken = [keys[number][place] for number, place in fair_places(keys, np.array([9.0, 1, 5]), 10)]
    assert sorted(taken) == ["a", "x", "y", "z"]
    assert fair_places([], np.zeros(0), 3) == []


@pytest.mark.parametrize("merge", ["quota", "best"])
def test_a_small_interest_has_its_share_of_the_answer(tmp_path_factory: pytest.TempPathFactory, merge: str) -> None:
    """The mean of two tastes lies near neither; with two interests, both are served."""
    wide = unit(AXES[1] + 0.3 * np.random.default_rng(5).normal(size=(30, 16)))
    vectors = np.concatenate([_around(0, 30), wide])
    folder = write_store(tmp_path_factory.mktemp("two") / "store", vectors)
    history = [f"item-{row}" for row in (0, 1, 2, 3, 4, 5, 30, 31, 32)]
    with Recommender.open(folder) as shop:
        found = shop.recommend(history, k=9, settings=ProfileSettings(interests=2, merge=merge))
    second = [hit for hit in found if int(hit.item_id.removeprefix("item-")) >= 30]
    assert len(second) == (3 if merge == "quota" else 0)
    assert len({hit.interest for hit in second}) == (1 if second else 0)
