"""What is known of each user and what is to be predicted: the later part of what a user took is held back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.interactions import Interactions

# The protocol's own choice: a fifth of at least five items is at least one.
TEST_SHARE = 0.2
MIN_ITEMS = 5
SameDay = Literal["by-id", "random", "left-out"]
_TIE_SEED = 0


@dataclass(frozen=True)
class ItemLists:
    """A list of items for each user, in two arrays: user ``u`` has ``items[starts[u]:starts[u + 1]]``, int32."""

    starts: np.ndarray
    items: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, user: int) -> np.ndarray:
        return np.asarray(self.items[self.starts[user] : self.starts[user + 1]])

    @property
    def sizes(self) -> np.ndarray:
        """How many items each user has: [users], int64."""
        return np.diff(self.starts)

    def only(self, keep: np.ndarray) -> ItemLists:
        """Return the lists without the items for which ``keep``, aligned with ``items``, is false."""
        kept_before = np.concatenate([[0], np.cumsum(keep)])
        return ItemLists(kept_before[self.starts], self.items[keep])

    def of(self, users: np.ndarray) -> ItemLists:
        """Return the lists of some users, [n] ascending positions."""
        return ItemLists(starts_of(self.sizes[users]), self.items[self.belongs_to(users)])

    def belongs_to(self, users: np.ndarray) -> np.ndarray:
        """Return for each of ``items`` whether it is of one of these users, bool."""
        wanted = np.zeros(len(self), bool)
        wanted[users] = True
        return np.repeat(wanted, self.sizes)


@dataclass(frozen=True)
class Split:
    """Users with a known history and a held-back test; items are positions in ``item_ids`` of the split.

    Attributes:
        users: User ids; the lists follow their order.
        history: What is known, oldest first.
        weights: The weight of each item of the histories, aligned with ``history.items``, float64.
        dates: Its date, in the unit of the interactions, likewise.
        test: What is to be predicted, oldest first; at least one item a user.
        test_dates: The date of each, aligned with ``test.items``, float64.
        excluded: What is no candidate for this user: the history, and the own product variants where they are removed.
        item_count: How many candidates there are before any are excluded.
        counts: How many users have each item in their training data, [items], int64: all interactions but the tests.
        training_users: How many users those are.
        training: The training data themselves: the lists of all users, tested or not, without the tests.
        positions: Which of those lists is that of each tested user, [users], int64.
        short_users: Users who have too few items to be tested; they are in ``counts`` only.
        unknown_items: Ids that interactions name and the catalog does not hold; their interactions are left out.
    """

    users: tuple[str, ...]
    history: ItemLists
    weights: np.ndarray
    dates: np.ndarray
    test: ItemLists
    excluded: ItemLists
    item_count: int
    counts: np.ndarray
    training_users: int
    short_users: int
    unknown_items: tuple[str, ...]
    training: ItemLists
    positions: np.ndarray
    test_dates: np.ndarray

    def __len__(self) -> int:
        return len(self.users)

    def of(self, users: np.ndarray) -> Split:
        """Return the split of some of its users, [n] ascending positions; what is known of everybody stays."""
        events, tests = self.history.belongs_to(users), self.test.belongs_to(users)
        return replace(
            self,
            users=tuple(self.users[user] for user in users),
            history=self.history.of(users),
            weights=self.weights[events],
            dates=self.dates[events],
            test=self.test.of(users),
            excluded=self.excluded.of(users),
            positions=self.positions[users],
            test_dates=self.test_dates[tests],
        )

    def with_tests(self, *, but: Sequence[int] | np.ndarray = ()) -> ItemLists:
        """Return what everybody took, tests and all, but the tests of some users, given by their positions."""
        others = np.ones(len(self), bool)
        others[np.asarray(but, np.int64)] = False
        added = self.test.of(np.flatnonzero(others))
        everybody = np.arange(len(self.training))
        user = np.concatenate(
            [np.repeat(everybody, self.training.sizes), np.repeat(self.positions[others], added.sizes)]
        )
        items = np.concatenate([self.training.items, added.items])[np.argsort(user, kind="stable")]
        return ItemLists(starts_of(np.bincount(user, minlength=len(everybody))), items)


def chronological_split(
    interactions: Interactions,
    item_ids: Sequence[str],
    *,
    test_share: float = TEST_SHARE,
    min_items: int = MIN_ITEMS,
    same_day: SameDay = "by-id",
) -> Split:
    """Hold back the last ``test_share`` of each user's items, rounded to the nearest whole item and at least one.

    A user's items are sorted by date; an item taken several times counts once, at its first date. Items that are not in
    ``item_ids`` are left out before anything is counted.

    Where dates are days, many items share one, and which of them come last is a matter of convention. Ids often grow with
    time, so by id the last item of a day is the newest product; and a history that ends on the day of the test tells what
    else was bought on that trip. The other choices of ``same_day`` show how much of a result comes from that.

    Args:
        interactions: Who took what and when.
        item_ids: The candidates: the ids of the catalog, each once.
        test_share: Part of a user's items that is held back, above 0 and below 1.
        min_items: Users with fewer distinct items are not tested; at least 2.
        same_day: Items of equal dates come in the order of their ids, in random order (the same every time), or by id, and
            those of the history that are of the calendar day of the first test item (``Interactions.days``) are left out;
            users with no other are not tested.

    Raises:
        UsageError: a setting is out of range, or no user has enough items.
    """
    if not 0 < test_share < 1:
        raise UsageError(f"The test share is {test_share}; it is a part between 0 and 1, such as {TEST_SHARE}.")

    def test_sizes(sizes: np.ndarray) -> np.ndarray:
        return np.clip(np.floor(sizes * test_share + 0.5).astype(np.int64), 1, sizes - 1)

    return _split(interactions, item_ids, test_sizes, min_items, same_day)


def leave_last_out(
    interactions: Interactions, item_ids: Sequence[str], *, min_items: int = 2, same_day: SameDay = "by-id"
) -> Split:
    """Hold back the last item of each user: for baskets and for short histories. The rest as ``chronological_split``.

    Raises:
        UsageError: ``min_items`` is below 2, or no user has enough items.
    """
    return _split(interactions, item_ids, np.ones_like, min_items, same_day)


def starts_of(sizes: np.ndarray) -> np.ndarray:
    """Return where each of some lists of these sizes begins, and where the last ends: [lists + 1], int64."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _split(
    interactions: Interactions,
    item_ids: Sequence[str],
    test_sizes: Callable[[np.ndarray], np.ndarray],
    min_items: int,
    same_day: SameDay,
) -> Split:
    if min_items < 2:
        raise UsageError(f"A user needs at least 2 items, one known and one to predict; min_items is {min_items}.")
    positions = {item_id: position for position, item_id in enumerate(item_ids)}
    position_of = np.array([positions.get(item_id, -1) for item_id in interactions.items], np.int64)
    unknown = tuple(item_id for item_id in interactions.items if item_id not in positions)
    within_day = interactions.ranks
    if same_day == "random":
        within_day = np.random.default_rng(_TIE_SEED).permutation(len(within_day))
    order = np.lexsort((within_day, interactions.date, interactions.user))
    order = order[position_of[interactions.item[order]] >= 0]
    user = interactions.user[order].astype(np.int64)
    item = position_of[interactions.item[order]]
    _, first = np.unique(user * len(item_ids) + item, return_index=True)  # the earliest of equal pairs
    first.sort()
    user, item, order = user[first], item[first], order[first]

    sizes = np.bincount(user, minlength=len(interactions.users))
    tested = sizes >= min_items
    if not tested.any():
        raise UsageError(
            f"No user has {min_items} different items of this catalog; for baskets take --protocol last, lower --min-items, "
            "or check that the interactions name the catalog's ids."
        )
    held_back = np.where(tested, test_sizes(np.maximum(sizes, 2)), 0)
    place = np.arange(len(user)) - np.repeat(starts_of(sizes)[:-1], sizes)
    is_test = place >= (sizes - held_back)[user]
    is_known = ~is_test
    if same_day == "left-out":
        first_test_day = np.full(len(sizes), np.iinfo(np.int64).max)
        np.minimum.at(first_test_day, user[is_test], interactions.days[order[is_test]])
        is_known &= interactions.days[order] < first_test_day[user]
        tested &= np.bincount(user[is_known], minlength=len(sizes)) > 0
        if not tested.any():
            raise UsageError("No user has a history before the day of the first item to predict.")
    everything = ItemLists(starts_of(sizes), item.astype(np.int32))
    who = np.flatnonzero(tested)
    known = everything.only(is_known)
    history = known.of(who)
    events = order[is_known][known.belongs_to(who)]
    tests = everything.only(is_test)
    return Split(
        users=tuple(interactions.users[number] for number in who),
        history=history,
        weights=interactions.weight[events],
        dates=interactions.date[events],
        test=tests.of(who),
        excluded=history if same_day != "left-out" else everything.only(~is_test).of(who),
        item_count=len(item_ids),
        counts=np.bincount(item[~is_test], minlength=len(item_ids)),
        training_users=int((sizes > 0).sum()),
        short_users=int(((sizes > 0) & ~tested).sum()),
        unknown_items=unknown,
        training=everything.only(~is_test),
        positions=who,
        test_dates=interactions.date[order[is_test]][tests.belongs_to(who)],
    )
