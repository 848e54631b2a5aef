"""The last part of each user's items is held back, as the protocol says it, and nothing is lost or told too early."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_interactions import interactions_of, random_rows

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation import (
    ItemLists,
    Split,
    chronological_split,
    leave_last_out,
    without_variants,
)

IDS = [f"item-{number}" for number in range(40)]


def named(lists: ItemLists) -> list[list[str]]:
    return [[IDS[item] for item in lists[user]] for user in range(len(lists))]


def plain_items(rows: list[tuple[str, str, float]]) -> dict[str, list[str]]:
    """The items of each user in the order of the protocol, read off its words."""
    first: dict[str, dict[str, float]] = {}
    for user, item, date in rows:
        if item in IDS:
            own = first.setdefault(user, {})
            own[item] = min(date, own.get(item, math.inf))
    return {user: sorted(own, key=lambda item: (own[item], item)) for user, own in first.items()}


@pytest.mark.parametrize("seed", range(5))
def test_the_chronological_split_is_the_protocol_in_words(seed: int) -> None:
    rows = random_rows(users=30, items=45, rows=300, seed=seed)
    split = chronological_split(interactions_of(rows), IDS)
    plain = {user: items for user, items in plain_items(rows).items() if len(items) >= 5}
    assert set(split.users) == set(plain)
    for user, history, test in zip(split.users, named(split.history), named(split.test), strict=True):
        assert history + test == plain[user]
        assert len(test) == max(1, round(0.2 * len(plain[user])))
    assert split.unknown_items == tuple(dict.fromkeys(item for _, item, _ in rows if item not in IDS))
    assert split.short_users == len(plain_items(rows)) - len(plain)


def test_the_last_item_is_held_back_for_baskets() -> None:
    rows = random_rows(users=30, items=40, rows=120, seed=7)
    split = leave_last_out(interactions_of(rows), IDS)
    plain = {user: items for user, items in plain_items(rows).items() if len(items) >= 2}
    assert dict(zip(split.users, named(split.test), strict=True)) == {user: items[-1:] for user, items in plain.items()}
    assert dict(zip(split.users, named(split.history), strict=True)) == {user: own[:-1] for user, own in plain.items()}


@pytest.mark.parametrize(("items", "held_back"), [(5, 1), (7, 1), (8, 2), (12, 2), (13, 3), (40, 8)])
def test_a_fifth_is_rounded_to_the_nearest_item(items: int, held_back: int) -> None:
    split = chronological_split(interactions_of([("ann", IDS[number], number) for number in range(items)]), IDS)
    assert split.test.sizes.tolist() == [held_back]


def test_popularity_counts_each_user_once_and_never_what_is_held_back() -> None:
    rows = random_rows(users=20, items=40, rows=200, seed=3)
    split = chronological_split(interactions_of(rows), IDS)
    tests = dict(zip(split.users, named(split.test), strict=True))
    known = [item for user, items in plain_items(rows).items() for item in items if item not in tests.get(user, [])]
    assert split.counts.tolist() == [known.count(item) for item in IDS]
    assert split.training_users == len(plain_items(rows))


def test_an_item_taken_again_later_is_no_test() -> None:
    rows = [("ann", IDS[number], number) for number in range(5)] + [("ann", IDS[0], 99)]
    assert named(chronological_split(interactions_of(rows), IDS).test) == [[IDS[4]]]


def test_settings_that_cannot_be_meant_are_refused() -> None:
    some = interactions_of([("ann", IDS[0], 1), ("ann", IDS[1], 2)])
    with pytest.raises(UsageError, match="No user has 5 different items of this catalog"):
        chronological_split(some, IDS)
    with pytest.raises(UsageError, match="No user has 2 different items"):
        leave_last_out(some, ["another"])
    with pytest.raises(UsageError, match="test share is 20"):
        chronological_split(some, IDS, test_share=20)
    with pytest.raises(UsageError, match="at least 2 items"):
        leave_last_out(some, IDS, min_items=1)


def _variants(split: Split, groups: np.ndarray, user: int) -> set[int]:
    own = {groups[item] for item in split.history[user]}
    return {item for item in range(split.item_count) if groups[item] in own}


def test_without_variants_no_product_of_the_history_is_candidate_or_test() -> None:
    groups = np.random.default_rng(5).integers(0, 12, len(IDS))
    split = chronological_split(interactions_of(random_rows(users=40, items=40, rows=300, seed=5)), IDS)
    reduced = without_variants(split, groups)
    at = {user: place for place, user in enumerate(split.users)}
    assert 0 < len(reduced) < len(split)
    for user, name in enumerate(reduced.users):
        variants = _variants(split, groups, at[name])
        assert set(reduced.excluded[user].tolist()) == variants
        assert reduced.history[user].tolist() == split.history[at[name]].tolist()
        assert reduced.test[user].tolist() == [item for item in split.test[at[name]] if item not in variants]
    left_out = set(split.users) - set(reduced.users)
    assert all(set(split.test[at[name]].tolist()) <= _variants(split, groups, at[name]) for name in left_out)


def test_without_variants_and_without_groups_nothing_changes() -> None:
    split = chronological_split(interactions_of(random_rows(users=40, items=40, rows=300, seed=5)), IDS)
    reduced = without_variants(split, np.arange(len(IDS)))
    assert reduced.users == split.users
    assert named(reduced.test) == named(split.test)
    assert [set(items) for items in named(reduced.excluded)] == [set(items) for items in named(split.history)]


def test_when_all_is_one_product_nothing_is_left_to_predict() -> None:
    split = chronological_split(interactions_of(random_rows(users=10, items=40, rows=200, seed=5)), IDS)
    with pytest.raises(UsageError, match="Every test item is a variant"):
        without_variants(split, np.zeros(len(IDS), np.int64))


def _trips(days: int, items_a_day: int) -> list[tuple[str, str, float]]:
    """Every user buys several items on each of some days; ids grow with the days."""
    return [
        (f"user-{user}", IDS[day * items_a_day + item], day)
        for user in range(20)
        for day in range(days)
        for item in range(items_a_day)
    ]


def test_items_of_one_day_can_come_in_random_order() -> None:
    interactions = interactions_of(_trips(days=2, items_a_day=5))
    by_id, random = leave_last_out(interactions, IDS), leave_last_out(interactions, IDS, same_day="random")
    assert {name for names in named(by_id.test) for name in names} == {IDS[9]}
    last = {name for names in named(random.test) for name in names}
    assert len(last) > 2
    assert last <= set(IDS[5:10]), "an earlier day never comes later"
    again = leave_last_out(interactions, IDS, same_day="random")
    assert named(again.test) == named(random.test)


def test_what_was_bought_on_the_day_of_the_test_can_be_left_out_of_the_history() -> None:
    interactions = interactions_of(_trips(days=2, items_a_day=5))
    split = chronological_split(interactions, IDS, same_day="left-out")
    for history, test, excluded in zip(named(split.history), named(split.test), named(split.excluded), strict=True):
        assert history == IDS[:5]
        assert test == IDS[8:10]
        assert excluded == IDS[:8], "what was bought is no candidate, known or not"
    assert len(split.dates) == len(split.history.items)
    assert split.dates.max() == 0
    with pytest.raises(UsageError, match="before the day"):
        leave_last_out(interactions_of(_trips(days=1, items_a_day=5)), IDS, same_day="left-out")


@pytest.mark.parametrize("unit", [1.0, 86_400.0, 86_400_000.0], ids=["as days", "as seconds", "as milliseconds"])
def test_a_day_that_is_left_out_is_a_calendar_day_whatever_the_clock_says(unit: float) -> None:
    """Purchases a minute apart, in the order of their ids, are held back and left out as those of equal dates are."""
    first_day = 0 if unit == 1.0 else 19_723
    minute = 0.0 if unit == 1.0 else 1 / 1440
    rows = [
        (user, item, (first_day + day + minute * (int(item.split("-")[1]) % 5)) * unit)
        for user, item, day in _trips(2, 5)
    ]
    clock = chronological_split(interactions_of(rows), IDS, same_day="left-out")
    days = chronological_split(interactions_of(_trips(2, 5)), IDS, same_day="left-out")
    assert (named(clock.history), named(clock.test)) == (named(days.history), named(days.test))
